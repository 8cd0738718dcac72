"""Answer the reporting checklist for a study; every file that an answer points to must be there."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--items", type=Path, required=True, help="the checklist with its answers (YAML)")
    parser.add_argument("--results", type=Path, required=True, help="folder of the study's results")
    parser.add_argument("--output", type=Path, required=True, help="output: the items, answered (CSV)")
    args = parser.parse_args()

    from freetumor.core.settings import load
    from freetumor.figures.checklist import build_checklist

    table = build_checklist(load(args.config), args.items, args.results, args.output)
    print(table["status"].value_counts().to_string())


if __name__ == "__main__":
    run_script(main)
