"""What a unit of work costs: time, memory and disk, measured or assumed, in one small table (``costs.csv``) with its origin.

Pre-flight and the resources of the rules are computed from it alone, so that they cannot contradict each other.
"""

import csv
from functools import cache
from pathlib import Path

COSTS = Path(__file__).with_name("costs.csv")


@cache
def cost_rows() -> tuple[dict[str, str], ...]:
    """Rows of the table: ``stage what value unit origin``."""
    with COSTS.open(newline="", encoding="utf-8") as stream:
        return tuple(csv.DictReader(stream))


@cache
def costs() -> dict[tuple[str, str], float]:
    """Cost by stage and what it is of."""
    return {(row["stage"], row["what"]): float(row["value"]) for row in cost_rows()}
