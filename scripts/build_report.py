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
    parser.add_argument("--classification", type=Path, help="rates of a classification (CSV), with selections.csv beside it")
    parser.add_argument("--tables", type=Path, nargs="*", default=[], help="further tables of the evaluation (CSV)")
    parser.add_argument("--claims", type=Path, help="published beside measured numbers (CSV)")
    parser.add_argument("--checklist", type=Path, help="the answered reporting checklist (CSV)")
    parser.add_argument("--cards", type=Path, help="table of the model cards (CSV)")
    parser.add_argument("--figures", type=Path, nargs="+", required=True, help="figures (PNG) in order, with captions beside")
    parser.add_argument("--provenance", type=Path, nargs="+", default=[], help="provenance files of training jobs (JSON)")
    parser.add_argument("--output", type=Path, required=True, help="output: the page (HTML)")
    args = parser.parse_args()
    arguments = {name: value for name, value in vars(args).items() if name != "config"}
    build_report(load(args.config), **arguments)


if __name__ == "__main__":
    run_script(main)
