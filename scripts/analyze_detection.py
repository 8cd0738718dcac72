"""Free-response curves of lesion candidates, and how well patients with and without tumor are told apart."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--scores", type=Path, required=True, help="all scores")
    parser.add_argument("--lesions", type=Path, required=True, help="all reference lesions")
    parser.add_argument("--candidates", type=Path, required=True, help="all lesion candidates")
    parser.add_argument("--froc", type=Path, required=True, help="output: sensitivity by false positives per scan (CSV)")
    parser.add_argument("--patients", type=Path, required=True, help="output: ROC area, sensitivity, specificity (CSV)")
    arguments = parser.parse_args()

    from freetumor.core.settings import load
    from freetumor.evaluation.detection import analyze_detection

    inputs = arguments.scores, arguments.lesions, arguments.candidates
    analyze_detection(load(arguments.config), *inputs, arguments.froc, arguments.patients)


if __name__ == "__main__":
    run_script(main)
