"""Make a bank of chosen lesions out of one or more banks."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.synthesis.merge_banks import merge_banks


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifests", type=Path, nargs="+", required=True, help="manifests of the banks (Parquet)")
    parser.add_argument("--query", default="", help="condition on the manifest's columns, as of pandas.DataFrame.query")
    parser.add_argument("--output", type=Path, required=True, help="output: manifest of the new bank (Parquet)")
    args = parser.parse_args()
    merge_banks(args.manifests, args.output, args.query)


if __name__ == "__main__":
    run_script(main)
