"""Compare the painted lesions of all folds with the real ones, each number beside what real lesions reach."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.evaluation.realism import score_realism


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--lesions", type=Path, nargs="+", required=True, help="measured lesions of all folds (Parquet)")
    parser.add_argument("--realism", type=Path, required=True, help="output: one row per number (CSV)")
    parser.add_argument("--profiles", type=Path, required=True, help="output: mean HU by distance from the border in mm (CSV)")
    parser.add_argument("--distributions", type=Path, required=True, help="output: one test per radiomics feature (CSV)")
    args = parser.parse_args()
    score_realism(load(args.config), args.lesions, args.realism, args.profiles, args.distributions)


if __name__ == "__main__":
    run_script(main)
