"""Merge the shards of a synthesizer into one manifest."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.synthesis.manifests import merge_manifests


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="manifests of the shards (Parquet)")
    parser.add_argument("--manifest", type=Path, required=True, help="output: merged manifest (Parquet)")
    args = parser.parse_args()
    merge_manifests(args.shards, args.manifest)


if __name__ == "__main__":
    run_script(main)
