"""Merge the shards of a source into one table of volumes and one of refused cases."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.preprocessing.merge import merge_volumes


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="tables of volumes (Parquet)")
    parser.add_argument("--quarantines", type=Path, nargs="+", required=True, help="tables of refused cases (TSV)")
    parser.add_argument("--max-quarantined", type=float, default=1.0, help="greatest share of refused cases, 0 to 1")
    parser.add_argument("--tolerated", type=int, default=0, help="refused cases that are no failure whatever their share")
    parser.add_argument("--output", type=Path, required=True, help="output: merged table of volumes (Parquet)")
    parser.add_argument("--quarantine", type=Path, required=True, help="output: merged refused cases (TSV)")
    args = parser.parse_args()
    merge_volumes(args.shards, args.quarantines, args.output, args.quarantine, args.max_quarantined, args.tolerated)


if __name__ == "__main__":
    run_script(main)
