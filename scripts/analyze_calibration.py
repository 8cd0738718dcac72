"""How often predicted probabilities come true: calibration errors and reliability diagrams."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--reliability", type=Path, required=True, help="counts of all predictions in bins of probability")
    parser.add_argument("--output", type=Path, required=True, help="output: one row per arm, split, kind and quantity (CSV)")
    arguments = parser.parse_args()

    from freetumor.core.settings import load
    from freetumor.evaluation.calibration import analyze_calibration

    analyze_calibration(load(arguments.config), arguments.reliability, arguments.output)


if __name__ == "__main__":
    run_script(main)
