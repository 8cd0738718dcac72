"""Write a model card per trained network, a table of all weights, and the data sheet of the cohort."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--cases", type=Path, required=True, help="table of cases (Parquet)")
    parser.add_argument("--quarantine", type=Path, required=True, help="quarantine table (TSV)")
    parser.add_argument("--folds", type=Path, nargs="+", required=True, help="tables of the folds, in order (Parquet)")
    parser.add_argument("--arms", type=Path, required=True, help="means per arm (CSV)")
    parser.add_argument("--summary", type=Path, required=True, help="comparisons (CSV)")
    parser.add_argument(
        "--weights", type=Path, nargs="+", required=True, help="all weights, with provenance and history beside"
    )
    parser.add_argument("--realism", type=Path, help="realism of painted lesions (CSV)")
    parser.add_argument("--output", type=Path, required=True, help="output: folder of the cards")
    args = parser.parse_args()

    from freetumor.core.settings import load
    from freetumor.figures.cards import build_cards

    arguments = {name: value for name, value in vars(args).items() if name != "config"}
    print(*(path.name for path in build_cards(load(args.config), **arguments)), sep="\n")


if __name__ == "__main__":
    run_script(main)
