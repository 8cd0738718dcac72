"""Print what a finished study found: the comparisons with their intervals, and where the report is."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.evaluation.comparisons import print_study


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configs", type=Path, nargs="+", help="config.yaml and the study that overlays it")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of all results")
    args = parser.parse_args()
    print_study(load(*args.configs), args.results)


if __name__ == "__main__":
    run_script(main)
