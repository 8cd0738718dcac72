"""Draw what became of each synthetic draw, by size class, organ and contrast, and what other thresholds would keep."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.figures.gate import plot_gate


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--table", type=Path, required=True, help="outcomes of the draws (CSV)")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="output: the PNG; PDF, CSV (the numbers drawn) and Markdown (the caption) are written beside it",
    )
    args = parser.parse_args()
    plot_gate(load(args.config), args.table, args.output)


if __name__ == "__main__":
    run_script(main)
