"""Print how far a study has come: jobs done, failed and waiting, hours used and left, cases in quarantine."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.runs import last_driver
from freetumor.core.settings import load
from freetumor.core.status import describe


def main() -> None:
    """Parse the arguments and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configs", type=Path, nargs="+", help="config.yaml and the study that overlays it")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of all results")
    args = parser.parse_args()
    print(describe(load(*args.configs).study, args.results, Path(".snakemake/log"), last_driver()))


if __name__ == "__main__":
    run_script(main)
