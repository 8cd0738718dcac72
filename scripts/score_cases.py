"""Score the predictions of one trained recognizer, case by case, at native resolution."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--predictions", type=Path, required=True, help="prediction table of one fold, arm and seed")
    parser.add_argument("--scores", type=Path, required=True, help="output: one row per case, structure and metric")
    parser.add_argument("--lesions", type=Path, required=True, help="output: one row per reference lesion (diameter in mm)")
    parser.add_argument("--candidates", type=Path, required=True, help="output: one row per lesion candidate, with confidence")
    parser.add_argument("--reliability", type=Path, required=True, help="output: how often probabilities came true, per case")
    arguments = parser.parse_args()

    from freetumor.core.settings import load
    from freetumor.evaluation.score import Rows, score_predictions

    outputs = Rows(arguments.scores, arguments.lesions, arguments.candidates, arguments.reliability)
    score_predictions(load(arguments.config), arguments.predictions, outputs)


if __name__ == "__main__":
    run_script(main)
