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
    arguments = parser.parse_args()

    from freetumor.core.settings import load
    from freetumor.evaluation.score import score_predictions

    score_predictions(load(arguments.config), arguments.predictions, arguments.scores, arguments.lesions)


if __name__ == "__main__":
    run_script(main)
