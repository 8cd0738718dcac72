"""Compare every arm with the baseline and print the result."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--scores", type=Path, required=True, help="merged scores")
    parser.add_argument("--lesions", type=Path, required=True, help="merged reference lesions")
    parser.add_argument("--summary", type=Path, required=True, help="output: one row per comparison (distances in mm)")
    parser.add_argument("--sizes", type=Path, required=True, help="output: share of detected lesions by diameter in mm")
    parser.add_argument("--arms", type=Path, required=True, help="output: every metric of every arm")
    arguments = parser.parse_args()

    from freetumor.core.settings import load
    from freetumor.evaluation.comparisons import analyze, format_summary

    outputs = arguments.summary, arguments.sizes, arguments.arms
    print(format_summary(analyze(load(arguments.config), arguments.scores, arguments.lesions, *outputs)))


if __name__ == "__main__":
    run_script(main)
