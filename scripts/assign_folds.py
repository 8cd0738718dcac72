"""Find duplicates, divide the patients of a study into folds, and give each case of a fold its part."""

import argparse
from pathlib import Path

from freetumor.core.errors import UserError, run_script
from freetumor.core.settings import load
from freetumor.preprocessing.folds import assign_folds


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--volumes", type=Path, nargs="+", required=True, help="tables of volumes, one per source")
    parser.add_argument("--quarantines", type=Path, nargs="+", required=True, help="refused cases, one per source")
    parser.add_argument("--cases", type=Path, required=True, help="output: all cases of the study (Parquet)")
    parser.add_argument("--quarantine", type=Path, required=True, help="output: all refused cases (TSV)")
    parser.add_argument("--duplicates", type=Path, help="output: pairs of cases that are the same scan (CSV)")
    parser.add_argument("--overlaps", type=Path, help="output: sources that are said or found to share scans (CSV)")
    parser.add_argument("--fold-tables", type=Path, nargs="+", required=True, help="output: one per fold that is run")
    args = parser.parse_args()
    config = load(args.config)
    if len(args.fold_tables) != len(config.folds):
        raise UserError(f"--fold-tables: {len(config.folds)} folds are run, {len(args.fold_tables)} paths are given")
    outputs = dict(zip(config.folds, args.fold_tables, strict=True))
    tables = args.cases, args.quarantine, outputs, args.duplicates, args.overlaps
    assign_folds(config, args.volumes, args.quarantines, *tables)


if __name__ == "__main__":
    run_script(main)
