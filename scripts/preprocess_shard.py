"""Check the volumes of a shard, bring them to the working form, and store them; list those that are refused."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.preprocessing.volumes import preprocess_shard


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--source", required=True, help="name of the source")
    parser.add_argument("--cases", type=Path, required=True, help="raw cases of the whole source (CSV or Parquet)")
    parser.add_argument("--organ-labels", type=Path, help="organ labels that a command made for this shard (CSV)")
    parser.add_argument("--shard", type=int, required=True, help="number of the shard, from 0")
    parser.add_argument("--workers", type=int, default=1, help="processes; the result does not depend on them")
    parser.add_argument("--work", type=Path, required=True, help="folder of the stored arrays; valid ones are kept")
    parser.add_argument("--output", type=Path, required=True, help="output: table of volumes (Parquet)")
    parser.add_argument("--quarantine", type=Path, required=True, help="output: table of refused cases (TSV)")
    args = parser.parse_args()
    config = load(args.config)
    outputs = args.output, args.quarantine, args.work
    preprocess_shard(config, args.source, args.cases, args.shard, *outputs, args.workers, args.organ_labels)


if __name__ == "__main__":
    run_script(main)
