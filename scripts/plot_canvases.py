"""Paint lesions into volumes by synthesizers that need no training, and draw overview, before and after."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.figures.canvases import plot_canvases


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--config",
        type=Path,
        required=True,
        help="resolved configuration of the study (YAML); the synthesizer named like an organ paints into it",
    )
    parser.add_argument("--volumes", type=Path, nargs="+", required=True, help="tables of preprocessed volumes (Parquet)")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="output: the PNG; PDF, CSV (the numbers drawn) and Markdown (the caption) are written beside it",
    )
    args = parser.parse_args()
    plot_canvases(load(args.config), args.volumes, args.output)


if __name__ == "__main__":
    run_script(main)
