"""Write painted volumes as NIfTI pairs for other programs and viewers."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.synthesis.export_nifti import export_nifti


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--cases", type=Path, required=True, help="fold table (Parquet)")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest of a synthesizer (Parquet)")
    parser.add_argument("--output", type=Path, required=True, help="output: table of the volumes (CSV); they lie beside it")
    args = parser.parse_args()
    export_nifti(load(args.config), args.cases, args.manifest, args.output)


if __name__ == "__main__":
    run_script(main)
