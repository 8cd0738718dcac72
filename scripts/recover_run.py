"""After a hard kill: release the lock of the working folder, but only if the run that holds it is certainly over."""

import argparse

from freetumor.core.errors import run_script
from freetumor.core.runs import recover


def main() -> None:
    """Parse the arguments and recover."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("snakemake", nargs=argparse.REMAINDER, help="the command line of the run")
    recover(parser.parse_args().snakemake)


if __name__ == "__main__":
    run_script(main)
