"""Build the report of a study: one self-contained page with its answer, tables and figures."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.figures.report import build_report


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--summary", type=Path, required=True, help="comparisons (CSV)")
    parser.add_argument("--arms", type=Path, required=True, help="means per arm (CSV)")
    parser.add_argument("--sizes", type=Path, required=True, help="sensitivity by size (CSV)")
    parser.add_argument("--cases", type=Path, required=True, help="table of cases (Parquet)")
    parser.add_argument("--quarantine", type=Path, required=True, help="quarantine table (TSV)")
    parser.add_argument(
        "--classification", type=Path, help="rates of a classification (CSV), with selections.csv and claims.csv beside it"
    )
    parser.add_argument("--figures", type=Path, nargs="+", required=True, help="figures (PNG), in the order of the page")
    parser.add_argument("--provenance", type=Path, nargs="+", default=[], help="provenance files of training jobs (JSON)")
    parser.add_argument("--output", type=Path, required=True, help="output: the page (HTML)")
    args = parser.parse_args()
    build_report(
        load(args.config),
        summary=args.summary,
        arms=args.arms,
        sizes=args.sizes,
        cases=args.cases,
        quarantine=args.quarantine,
        figures=args.figures,
        output=args.output,
        provenance=args.provenance,
        classification=args.classification,
    )


if __name__ == "__main__":
    run_script(main)
