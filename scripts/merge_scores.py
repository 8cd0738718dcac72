"""Join the score tables of all folds, arms and seeds of a study."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=Path, nargs="+", required=True, help="score tables to join")
    parser.add_argument("--lesions", type=Path, nargs="+", required=True, help="lesion tables to join")
    parser.add_argument("--output", type=Path, required=True, help="output: all scores")
    parser.add_argument("--lesions-output", type=Path, required=True, help="output: all reference lesions")
    arguments = parser.parse_args()

    from freetumor.evaluation.merge import merge_scores

    merge_scores(arguments.scores, arguments.lesions, arguments.output, arguments.lesions_output)


if __name__ == "__main__":
    run_script(main)
