"""End a study: remove what killed jobs left behind, write checksums of all results and the page of costs."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--results", type=Path, required=True, help="folder of the results of all studies, also the output")
    args = parser.parse_args()

    from freetumor.core.settings import load
    from freetumor.figures.finish import finish_study

    finish_study(load(args.config), args.results)


if __name__ == "__main__":
    run_script(main)
