"""Count what became of each synthetic draw, by size class, organ and contrast, and at other thresholds of the gate."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.settings import load
from freetumor.evaluation.gate import score_gate


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument(
        "--manifests", type=Path, nargs="+", required=True, help="manifests of any folds and synthesizers (Parquet)"
    )
    parser.add_argument("--output", type=Path, required=True, help="output table (CSV)")
    args = parser.parse_args()
    score_gate(load(args.config), args.manifests, args.output)


if __name__ == "__main__":
    run_script(main)
