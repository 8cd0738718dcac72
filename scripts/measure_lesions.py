"""Measure real and painted lesions of a fold: size, shape, contrast, border, texture, and their profile across the border."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.evaluation.lesion_crops import measure_fold


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--fold", type=int, required=True, help="number of the fold, from 0")
    parser.add_argument("--cases", type=Path, required=True, help="fold table (Parquet)")
    parser.add_argument(
        "--manifests", type=Path, nargs="+", required=True, help="manifests of the fold's synthesizers (Parquet)"
    )
    parser.add_argument("--output", type=Path, required=True, help="output: one row per lesion (Parquet)")
    parser.add_argument("--thumbnails", type=Path, required=True, help="output: texture of each lesion on a common grid (b2nd)")
    parser.add_argument(
        "--network", type=Path, help="weights of evaluation.feature_network (safetensors), if the study has one"
    )
    args = parser.parse_args()
    paths = args.cases, args.manifests, args.output, args.thumbnails, args.network
    measure_fold(load(args.config), args.fold, *paths)


if __name__ == "__main__":
    run_script(main)
