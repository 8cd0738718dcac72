"""Write docs/data.md from the table of public sources."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.download.catalog_page import write_page


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=Path(), help="root of the checkout")
    write_page(parser.parse_args().repository)


if __name__ == "__main__":
    run_script(main)
