"""Draw confusion matrices pooled over the test folds."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.figures.confusion import plot_confusion


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--confusion", type=Path, required=True, help="confusion matrices per arm and seed (CSV)")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="output: the PNG; PDF, CSV (the numbers drawn) and Markdown (the caption) are written beside it",
    )
    args = parser.parse_args()
    plot_confusion(load(args.config), args.confusion, args.output)


if __name__ == "__main__":
    run_script(main)
