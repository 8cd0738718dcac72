"""Draw per-case paired differences of each arm from the baseline, with means and confidence intervals."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.figures.differences import plot_differences


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--scores", type=Path, required=True, help="scores of all cases (Parquet)")
    parser.add_argument("--lesions", type=Path, required=True, help="reference lesions of all cases (Parquet)")
    parser.add_argument("--summary", type=Path, required=True, help="comparisons (CSV)")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="output: the PNG; PDF, CSV (the numbers drawn) and Markdown (the caption) are written beside it",
    )
    args = parser.parse_args()
    plot_differences(load(args.config), args.scores, args.lesions, args.summary, args.output)


if __name__ == "__main__":
    run_script(main)
