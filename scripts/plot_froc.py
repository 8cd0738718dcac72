"""Draw free-response curves of lesion candidates, and how well patients are told apart, per arm."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.figures.froc import plot_froc


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--froc", type=Path, required=True, help="free-response curves (CSV)")
    parser.add_argument("--patients", type=Path, required=True, help="detection of patients (CSV)")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="output: the PNG; PDF, CSV (the numbers drawn) and Markdown (the caption) are written beside it",
    )
    args = parser.parse_args()
    plot_froc(load(args.config), args.froc, args.patients, args.output)


if __name__ == "__main__":
    run_script(main)
