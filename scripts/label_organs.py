"""Run the organ command of a source on the cases of a shard, and list the labels that it made."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.download.organ_command import label_shard


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--source", required=True, help="name of the source")
    parser.add_argument("--cases", type=Path, required=True, help="raw cases of the whole source (CSV or Parquet)")
    parser.add_argument("--shard", type=int, required=True, help="number of the shard, from 0")
    parser.add_argument("--work", type=Path, required=True, help="folder of the label files; valid ones are kept")
    parser.add_argument("--output", type=Path, required=True, help="output: table of organ labels (CSV)")
    args = parser.parse_args()
    label_shard(load(args.config), args.source, args.cases, args.shard, args.output, args.work)


if __name__ == "__main__":
    run_script(main)
