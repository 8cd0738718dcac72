"""Join the score tables of all folds, arms and seeds of a study, and add the arms that its selections choose."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--scores", type=Path, nargs="+", required=True, help="score tables to join")
    parser.add_argument("--lesions", type=Path, nargs="+", required=True, help="lesion tables to join")
    parser.add_argument("--candidates", type=Path, nargs="+", required=True, help="tables of lesion candidates to join")
    parser.add_argument("--reliability", type=Path, nargs="+", required=True, help="tables of reliability to join")
    parser.add_argument("--output", type=Path, required=True, help="output: all scores")
    parser.add_argument("--lesions-output", type=Path, required=True, help="output: all reference lesions")
    parser.add_argument("--candidates-output", type=Path, required=True, help="output: all lesion candidates")
    parser.add_argument("--reliability-output", type=Path, required=True, help="output: all of reliability")
    parser.add_argument("--selections", type=Path, required=True, help="output: what each selection chose (CSV)")
    arguments = parser.parse_args()

    from freetumor.core.settings import load
    from freetumor.evaluation.merge import merge_scores
    from freetumor.evaluation.score import Rows

    tables = Rows(arguments.scores, arguments.lesions, arguments.candidates, arguments.reliability)
    outputs = arguments.output, arguments.lesions_output, arguments.candidates_output, arguments.reliability_output
    merge_scores(load(arguments.config), tables, Rows(*outputs), arguments.selections)


if __name__ == "__main__":
    run_script(main)
