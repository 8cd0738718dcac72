"""Keep one slice of an example per source or category, so that the cohort can be drawn without its volumes."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.evaluation.sheets.cohort import collect_cohort


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--cases", type=Path, required=True, help="table of cases (Parquet)")
    parser.add_argument(
        "--output", type=Path, required=True, help="output table (CSV); its pictures (NPZ) are written beside it"
    )
    args = parser.parse_args()
    collect_cohort(load(args.config), args.cases, args.output)


if __name__ == "__main__":
    run_script(main)
