"""Keep random real and synthetic images of each category, so that they can be drawn without volumes and banks."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.evaluation.sheets.samples import collect_samples


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--cases", type=Path, required=True, help="fold table that the manifests belong to (Parquet)")
    parser.add_argument(
        "--manifests", type=Path, nargs="+", required=True, help="manifests of the synthesizers of that fold (Parquet)"
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="output table (CSV); its pictures (NPZ) are written beside it"
    )
    args = parser.parse_args()
    collect_samples(load(args.config), args.cases, args.manifests, args.output)


if __name__ == "__main__":
    run_script(main)
