"""Paint the canvases of one shard, or make its share of whole images, and bank the result."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.synthesis.shards import synthesize_shard


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--synthesizer", required=True, help="key of synthesizers in the configuration")
    parser.add_argument("--fold", type=int, required=True, help="number of the fold, from 0")
    parser.add_argument("--shard", type=int, required=True, help="number of the shard, from 0")
    parser.add_argument("--cases", type=Path, required=True, help="fold table (Parquet)")
    parser.add_argument("--generator", type=Path, help="trained generator, if the painter has one")
    parser.add_argument("--segmenter", type=Path, help="trained segmenter, if the gate needs it")
    parser.add_argument("--manifest", type=Path, required=True, help="output: manifest of the shard (Parquet)")
    args = parser.parse_args()
    synthesize_shard(
        load(args.config),
        args.synthesizer,
        args.fold,
        args.shard,
        args.cases,
        args.manifest,
        args.generator,
        args.segmenter,
    )


if __name__ == "__main__":
    run_script(main)
