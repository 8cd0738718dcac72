"""Draw the cohort: flow of cases, sources, lesion sizes, spacings, one example per source or category."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.figures.cohort import plot_cohort


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--cases", type=Path, required=True, help="table of cases (Parquet)")
    parser.add_argument("--quarantine", type=Path, required=True, help="quarantine (TSV)")
    parser.add_argument("--examples", type=Path, required=True, help="examples (CSV), with their pictures beside it")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="output: the PNG; PDF, CSV (the numbers drawn) and Markdown (the caption) are written beside it",
    )
    args = parser.parse_args()
    plot_cohort(load(args.config), args.cases, args.quarantine, args.examples, args.output)


if __name__ == "__main__":
    run_script(main)
