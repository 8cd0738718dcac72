"""Draw real tumors next to synthetic lesions: before, after and difference in HU."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.figures.lesions import plot_lesions


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--lesions", type=Path, required=True, help="lesions to show (CSV), with their pictures beside it")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="output: the PNG; PDF, CSV (the numbers drawn) and Markdown (the caption) are written beside it",
    )
    args = parser.parse_args()
    plot_lesions(load(args.config), args.lesions, args.output)


if __name__ == "__main__":
    run_script(main)
