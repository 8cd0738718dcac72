"""Draw random real images and those of each synthesizer, per category."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.figures.samples import plot_samples


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--cases", type=Path, required=True, help="fold table (Parquet)")
    parser.add_argument("--manifests", type=Path, nargs="+", required=True, help="manifests of that fold (Parquet)")
    parser.add_argument(
        "--output", type=Path, required=True, help="output: the PNG; PDF and CSV (the numbers drawn) are written beside it"
    )
    args = parser.parse_args()
    plot_samples(load(args.config), args.cases, args.manifests, args.output)


if __name__ == "__main__":
    run_script(main)
