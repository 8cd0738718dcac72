"""What all cases of a source are prepared by, and how numbers enter the table of volumes."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from freetumor.core.config import Checks, Preset


@dataclass(frozen=True)
class Recipe:
    """What all cases of a source are prepared by.

    Attributes:
        preset: the working form.
        checks: what is refused.
        codes: code of each structure of the source.
        host_rule: organs to derive from the CT, and their rule.
        outlined: structure that boxes outline, of sources that have boxes.
        code: hash of the code.
    """

    preset: Preset
    checks: Checks
    codes: Mapping[str, int]
    host_rule: Mapping[str, str]
    outlined: str
    code: str


def rounded(value: float) -> float:
    """Nine decimals: a picometer, far below any effect, but free of the last bits of linear algebra."""
    return round(float(value), 9) + 0.0


def numbers(values: Iterable[float]) -> str:
    """A JSON list of rounded numbers."""
    return json.dumps([rounded(value) for value in values])


def rows_of_numbers(values: Iterable[Iterable[float]]) -> str:
    """A JSON list of lists of rounded numbers."""
    return json.dumps([[rounded(value) for value in line] for line in values])
