"""Draw the participant flow: who entered, who left and why, and where the others went."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.figures.flow_chart import plot_flow


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--cases", type=Path, required=True, help="table of cases (Parquet)")
    parser.add_argument("--quarantine", type=Path, required=True, help="quarantine (TSV)")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="output: the PNG; PDF, CSV (the numbers drawn) and Markdown (the caption) are written beside it",
    )
    args = parser.parse_args()
    plot_flow(load(args.config), args.cases, args.quarantine, args.output)


if __name__ == "__main__":
    run_script(main)
