"""Keep slices of the worst cases with what each arm found in them, so that they can be drawn without volumes."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.evaluation.sheets.failures import collect_failures


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--cases", type=Path, required=True, help="table of cases (Parquet)")
    parser.add_argument("--scores", type=Path, required=True, help="merged scores (Parquet)")
    parser.add_argument("--predictions", type=Path, nargs="+", required=True, help="predictions of all trainings (Parquet)")
    parser.add_argument(
        "--output", type=Path, required=True, help="output table (CSV); its pictures (NPZ) are written beside it"
    )
    args = parser.parse_args()
    collect_failures(load(args.config), args.cases, args.scores, args.predictions, args.output)


if __name__ == "__main__":
    run_script(main)
