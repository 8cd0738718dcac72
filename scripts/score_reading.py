"""Analyze a Visual Turing Test: whether readers can tell the synthetic images of a deck from the real ones."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--answers", type=Path, help="answers of all readers (CSV)")
    parser.add_argument("--key", type=Path, help="key of the deck (CSV)")
    parser.add_argument("--output", type=Path, required=True, help="output: one row per reader and statistic (CSV)")
    arguments = parser.parse_args()

    from freetumor.core.settings import load
    from freetumor.evaluation.reading import format_reading, score_reading

    print(format_reading(score_reading(load(arguments.config), arguments.answers, arguments.key, arguments.output)))


if __name__ == "__main__":
    run_script(main)
