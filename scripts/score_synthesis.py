"""Measure how like real ones the images of a synthesizer are: recognition, diversity, distance of features, copies."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.evaluation.fidelity import score_synthesis


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--synthesizer", required=True, help="key of synthesizers in the configuration")
    parser.add_argument("--fold", type=int, required=True, help="number of the fold, from 0")
    parser.add_argument("--cases", type=Path, required=True, help="fold table (Parquet)")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest of the synthesizer (Parquet)")
    parser.add_argument("--recognizer", type=Path, required=True, help="weights of the baseline recognizer (safetensors)")
    parser.add_argument("--output", type=Path, required=True, help="output: table of measures (CSV)")
    args = parser.parse_args()
    score_synthesis(load(args.config), args.synthesizer, args.fold, args.cases, args.manifest, args.recognizer, args.output)


if __name__ == "__main__":
    run_script(main)
