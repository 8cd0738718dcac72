"""Draw reliability diagrams, calibration errors and Brier scores, per arm."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.figures.calibration import plot_calibration


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--calibration", type=Path, required=True, help="calibration (CSV)")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="output: the PNG; PDF, CSV (the numbers drawn) and Markdown (the caption) are written beside it",
    )
    args = parser.parse_args()
    plot_calibration(load(args.config), args.calibration, args.output)


if __name__ == "__main__":
    run_script(main)
