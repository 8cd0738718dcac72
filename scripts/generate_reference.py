"""Write the files generated from the configuration model and the lock: reference page, schema, conda environments."""

import argparse
from pathlib import Path

from freetumor.core.errors import run_script
from freetumor.core.reference import write_reference


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=Path(), help="root of the checkout")
    write_reference(parser.parse_args().repository)


if __name__ == "__main__":
    run_script(main)
