"""Recompute the checksums of a finished study and compare them with those that its run wrote, or with those of another run."""

import argparse
from pathlib import Path

from freetumor.core.checksums import verify
from freetumor.core.errors import run_script
from freetumor.core.settings import load


def main() -> None:
    """Parse the arguments and verify."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configs", type=Path, nargs="+", help="config.yaml and the study that overlays it")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of all results")
    parser.add_argument("--against", type=Path, help="checksums.json of the same study from another run or machine")
    args = parser.parse_args()
    verify(args.results / load(*args.configs).study, args.against)


if __name__ == "__main__":
    run_script(main)
