"""Draw the training curves of segmenter, synthesizers and recognizers."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.figures.training import plot_training


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument(
        "--histories",
        type=Path,
        nargs="+",
        required=True,
        help="training histories (CSV) below fold<k>/synthesizer/<name>/ and fold<k>/recognition/<arm>/seed<s>/",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="output: the PNG; PDF, CSV (the numbers drawn) and Markdown (the caption) are written beside it",
    )
    args = parser.parse_args()
    plot_training(load(args.config), args.histories, args.output)


if __name__ == "__main__":
    run_script(main)
