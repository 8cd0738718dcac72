"""Write labeled cases and painted volumes as a raw data set for nnU-Net."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.synthesis.export_nnunet import export_nnunet


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--fold", type=int, required=True, help="number of the fold")
    parser.add_argument("--synthesizer", required=True, help="name of the synthesizer")
    parser.add_argument("--cases", type=Path, required=True, help="fold table (Parquet)")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest of a synthesizer (Parquet)")
    parser.add_argument(
        "--output", type=Path, required=True, help="output: table of the volumes (CSV); the data set lies beside it"
    )
    args = parser.parse_args()
    export_nnunet(load(args.config), args.fold, args.synthesizer, args.cases, args.manifest, args.output)


if __name__ == "__main__":
    run_script(main)
