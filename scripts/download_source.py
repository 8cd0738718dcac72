r"""Download, make or index one source of a study and write its table of raw cases.

Made files lie beside the table; files of a folder source stay where they are. What is there and valid is kept.

Example:
    python scripts/download_source.py --config results/quick/config.yaml --source phantom_a \
        --output results/data/phantom_a/cases.csv --workers 2
"""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script


def main() -> None:
    """Parse the arguments and download the source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="resolved configuration of the study (YAML)")
    parser.add_argument("--source", required=True, help="name of the source, as in the configuration")
    parser.add_argument("--output", type=Path, required=True, help="table of raw cases to write (CSV)")
    parser.add_argument("--workers", type=int, default=1, help="number of processes (default: 1)")
    arguments = parser.parse_args()

    from freetumor.core.settings import load
    from freetumor.download.sources import download_source

    download_source(load(arguments.config), arguments.source, arguments.output, arguments.workers)


if __name__ == "__main__":
    run_script(main)
