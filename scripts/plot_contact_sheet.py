"""Draw three planes through a few checked volumes of a source, with their labels, for the eye."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.figures.contact_sheet import CASES, plot_contact_sheet


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--volumes", type=Path, required=True, help="table of the source's preprocessed volumes (Parquet)")
    parser.add_argument("--cases", type=int, default=CASES, help="most cases to show (default: %(default)s)")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="output: the PNG; PDF, CSV (what is shown) and Markdown (the caption) are written beside it",
    )
    args = parser.parse_args()
    plot_contact_sheet(load(args.config), args.volumes, args.output, args.cases)


if __name__ == "__main__":
    run_script(main)
