"""Draw every training as a dot, per arm: how much the luck of training matters."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.figures.trainings import plot_seeds


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--scores", type=Path, required=True, help="merged scores (Parquet)")
    parser.add_argument("--lesions", type=Path, required=True, help="merged reference lesions (Parquet)")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="output: the PNG; PDF, CSV (the numbers drawn) and Markdown (the caption) are written beside it",
    )
    args = parser.parse_args()
    plot_seeds(load(args.config), args.scores, args.lesions, args.output)


if __name__ == "__main__":
    run_script(main)
