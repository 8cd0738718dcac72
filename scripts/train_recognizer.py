"""Train the recognizer of one arm, fold and seed."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.recognition.train import train_recognizer


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--arm", required=True, help="key of arms in the configuration")
    parser.add_argument("--fold", type=int, required=True, help="number of the fold, from 0")
    parser.add_argument("--seed", type=int, required=True, help="one of recognition.seeds")
    parser.add_argument("--cases", type=Path, required=True, help="fold table (Parquet)")
    parser.add_argument("--generator", type=Path, help="trained generator, if the arm paints with one")
    parser.add_argument("--segmenter", type=Path, help="trained segmenter, if the gate of the arm needs it")
    parser.add_argument("--bank", type=Path, help="manifest of the bank, if the arm takes lesions from it")
    parser.add_argument("--weights", type=Path, required=True, help="output: trained weights (safetensors)")
    parser.add_argument("--history", type=Path, required=True, help="output: table of losses (CSV)")
    parser.add_argument("--sidecar", type=Path, required=True, help="folder of the resumable checkpoints")
    args = parser.parse_args()
    train_recognizer(
        load(args.config),
        args.arm,
        args.fold,
        args.seed,
        args.cases,
        args.weights,
        args.history,
        args.sidecar,
        generator=args.generator,
        segmenter=args.segmenter,
        bank=args.bank,
    )


if __name__ == "__main__":
    run_script(main)
