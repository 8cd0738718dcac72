"""Draw accuracy against the number of samples added to the training set."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.figures.curves import plot_curves


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--curves", type=Path, required=True, help="accuracy by added samples (CSV)")
    parser.add_argument("--selections", type=Path, required=True, help="what each selection chose (CSV)")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="output: the PNG; PDF, CSV (the numbers drawn) and Markdown (the caption) are written beside it",
    )
    args = parser.parse_args()
    plot_curves(load(args.config), args.curves, args.selections, args.output)


if __name__ == "__main__":
    run_script(main)
