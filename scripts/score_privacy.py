"""Measure whether the painted lesions of all folds give away the lesions that their synthesizers learned from."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.evaluation.privacy import score_privacy


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--lesions", type=Path, nargs="+", required=True, help="measured lesions of all folds (Parquet)")
    parser.add_argument("--thumbnails", type=Path, nargs="+", required=True, help="their textures, in the same order (b2nd)")
    parser.add_argument("--privacy", type=Path, required=True, help="output: one row per number (CSV)")
    parser.add_argument("--distances", type=Path, required=True, help="output: one row per lesion (CSV)")
    args = parser.parse_args()
    score_privacy(load(args.config), args.lesions, args.thumbnails, args.privacy, args.distances)


if __name__ == "__main__":
    run_script(main)
