"""Map the last layer of recognizers on the test regions of a fold (t-SNE)."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.evaluation.sheets.embedding import collect_embedding


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--cases", type=Path, required=True, help="fold table (Parquet)")
    parser.add_argument(
        "--weights", type=Path, nargs="+", required=True, help="trained recognizers, <arm>/seed<k>/weights.safetensors"
    )
    parser.add_argument("--output", type=Path, required=True, help="output table: the points of the maps (CSV)")
    args = parser.parse_args()
    collect_embedding(load(args.config), args.cases, args.weights, args.output)


if __name__ == "__main__":
    run_script(main)
