"""Train the networks that a synthesizer paints with."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.synthesizer.train import train_synthesizer


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--synthesizer", required=True, help="key of synthesizers in the configuration")
    parser.add_argument("--fold", type=int, required=True, help="number of the fold, from 0")
    parser.add_argument("--cases", type=Path, required=True, help="fold table (Parquet)")
    parser.add_argument("--segmenter", type=Path, help="weights of the frozen segmenter, if it is trained against it")
    parser.add_argument("--weights", type=Path, required=True, help="output: trained weights (safetensors)")
    parser.add_argument("--history", type=Path, required=True, help="output: table of losses (CSV)")
    parser.add_argument("--sidecar", type=Path, required=True, help="folder of the resumable checkpoints")
    args = parser.parse_args()
    train_synthesizer(
        load(args.config),
        args.synthesizer,
        args.fold,
        args.cases,
        args.segmenter,
        args.weights,
        args.history,
        args.sidecar,
    )


if __name__ == "__main__":
    run_script(main)
