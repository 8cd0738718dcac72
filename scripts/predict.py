"""Predict the test and validation cases of a fold with a trained recognizer, at native resolution."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.recognition.predict import predict


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--arm", required=True, help="key of arms in the configuration")
    parser.add_argument("--fold", type=int, required=True, help="number of the fold, from 0")
    parser.add_argument("--seed", type=int, required=True, help="one of recognition.seeds")
    parser.add_argument("--cases", type=Path, required=True, help="fold table (Parquet)")
    parser.add_argument("--weights", type=Path, required=True, help="trained recognizer (safetensors)")
    parser.add_argument("--output", type=Path, required=True, help="output: table of predictions (Parquet)")
    args = parser.parse_args()
    predict(load(args.config), args.arm, args.fold, args.seed, args.cases, args.weights, args.output)


if __name__ == "__main__":
    run_script(main)
