r"""Say, before anything starts, what a study has, lacks and will take; end with exit code 2 if it cannot start.

Example:
    python scripts/check_study.py config.yaml studies/open_ct.yaml
"""

import argparse
from pathlib import Path

from freetumor.core.errors import UserError, run_script


def main() -> None:
    """Parse the arguments and print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", type=Path, nargs="+", help="configuration, and the study that overlays it (YAML)")
    parser.add_argument("--rate", type=float, help="10^6 bytes per second of the connection (default: 30)")
    arguments = parser.parse_args()

    from freetumor.core.settings import load
    from freetumor.download.preflight import check_study

    try:
        print(check_study(load(*arguments.configs), arguments.rate), end="")
    except UserError as error:
        print(getattr(error, "report", ""))
        raise


if __name__ == "__main__":
    run_script(main)
