"""Pool the classifications of all test folds: rates, confusion matrices, accuracy by added samples."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--scores", type=Path, required=True, help="merged scores")
    parser.add_argument("--table", type=Path, required=True, help="output: rates, AUC and tests per arm and seed")
    parser.add_argument("--confusion", type=Path, required=True, help="output: confusion matrices per arm and seed")
    parser.add_argument("--curves", type=Path, required=True, help="output: accuracy by number of added samples")
    arguments = parser.parse_args()

    from freetumor.core.settings import load
    from freetumor.evaluation.classification import analyze_classification, format_classification

    outputs = arguments.table, arguments.confusion, arguments.curves
    table = analyze_classification(load(arguments.config), arguments.scores, *outputs)
    print(format_classification(table))


if __name__ == "__main__":
    run_script(main)
