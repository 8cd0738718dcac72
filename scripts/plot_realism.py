"""Draw painted beside real lesions: profiles across the border, distributions, and whether anything tells them apart."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.figures.realism import plot_realism


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--realism", type=Path, required=True, help="numbers of all synthesizers and organs (CSV)")
    parser.add_argument("--profiles", type=Path, required=True, help="mean HU by distance from the border in mm (CSV)")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="output: the PNG; PDF, CSV (the numbers drawn) and Markdown (the caption) are written beside it",
    )
    args = parser.parse_args()
    plot_realism(load(args.config), args.realism, args.profiles, args.output)


if __name__ == "__main__":
    run_script(main)
