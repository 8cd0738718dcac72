"""Set published numbers beside those of a study, with a verdict by the interval."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--published", type=Path, required=True, help="published numbers (CSV)")
    parser.add_argument("--summary", type=Path, required=True, help="comparisons (CSV)")
    parser.add_argument("--classification", type=Path, help="rates of a classification (CSV), with confusion.csv beside it")
    parser.add_argument("--output", type=Path, required=True, help="output: published beside measured numbers (CSV)")
    args = parser.parse_args()

    from freetumor.core.settings import load
    from freetumor.evaluation.claims import compare_claims

    table = compare_claims(load(args.config), args.published, args.summary, args.output, args.classification)
    print(table["verdict"].value_counts().to_string())


if __name__ == "__main__":
    run_script(main)
