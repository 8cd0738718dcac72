"""The part of the report that sets published numbers beside those of the study."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from freetumor.core.config import Config
from freetumor.core.tables import read_table
from freetumor.evaluation.claims import CLAIMS, HIGHER, INSIDE, LOWER, NO_INTERVAL, NOT_MEASURED
from freetumor.figures.answers import percent, plain
from freetumor.figures.html import Html, Section, element, folded, section, table
from freetumor.figures.style import SPLITS, metric_name, readable, structure_name

if TYPE_CHECKING:
    import pandas as pd

WARNING = (
    "The two sides come from different data: a difference between them is no failure to reproduce, and an agreement no "
    "proof. The verdict says on which side of the published value the interval measured here lies. Intervals of published "
    "shares are Wilson's, computed here from the published counts."
)
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
LEAD = "lead over the best other in "
KINDS = {"mean": "", "difference": "difference in ", "p": "p of the difference in "}
KINDS |= {"advantage": LEAD, "advantage_p": f"p of the {LEAD}"}


def claims_section(config: Config, path: str | Path) -> Section:
    """Published numbers that the study has a counterpart of, then all others.

    Args:
        config: the study.
        path: table of ``evaluation.claims.CLAIMS``.
    """
    claims = read_table(path, CLAIMS)
    counts = claims["verdict"].value_counts()
    verdicts = (INSIDE, LOWER, HIGHER, NO_INTERVAL, NOT_MEASURED)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in verdicts if verdict in counts)
    parts = [element("p", f"Of {len(claims)} published numbers: {said}."), element("p", WARNING)]
    matched = (claims["arm"] != "") & ~claims["quantity"].str.startswith("confusion/")
    if matched.any():
        parts.append(_measured_table(config, claims[matched]))
    if (~matched).any():
        parts.append(folded(f"Further published numbers ({(~matched).sum()})", _rest_table(config, claims[~matched])))
    return section("Claimed and reproduced", *parts)


def _measured_table(config: Config, claims: "pd.DataFrame") -> Html:
    """Numbers with a counterpart; what all were published on is said in the caption instead of in a column."""
    level = percent(config.evaluation.confidence)
    same = claims["claimed_data"].nunique() == 1
    header = ["Quantity", "Setting", f"Published ({level} CI)", *([] if same else ["Published on"])]
    header += [f"Measured ({level} CI)", "Measured on", "Verdict", "Source"]
    rows = [
        (quantity_name(row.quantity), _setting(row), _with_limits(row.claimed, row.claimed_low, row.claimed_high),
         *([] if same else [row.claimed_data]), _with_limits(row.measured, row.measured_low, row.measured_high),
         row.measured_data, row.verdict, f"{row.source} ({row.trust})")
        for row in claims.itertuples()
    ]  # fmt: skip
    name = "Published numbers with a counterpart in this study"
    name += f"; published on: {claims['claimed_data'].iloc[0]}" if same else ""
    return table(name, header, rows, (2, 3 if same else 4))


def _rest_table(config: Config, claims: "pd.DataFrame") -> Html:
    header = ("Quantity", "Setting", f"Published ({percent(config.evaluation.confidence)} CI)", "Unit", "Published on")
    header += ("Measured", "Why not, or why it may differ", "Source")
    rows = [
        (quantity_name(row.quantity), _setting(row), _with_limits(row.claimed, row.claimed_low, row.claimed_high), row.unit,
         row.claimed_data, number(row.measured), row.reason, f"{row.source} ({row.trust})")
        for row in claims.itertuples()
    ]  # fmt: skip
    return table("Further published numbers", header, rows, (2, 5))


def _setting(row: object) -> str:
    return readable(row.setting) + (f" (arm {row.arm})" if row.arm not in ("", row.setting) else "")


def number(value: float) -> str:
    """``0.0453`` → ``0.045``; ``6.05e-7`` → ``6.050 × 10⁻⁷``; counts with commas."""
    if math.isfinite(value) and value and abs(value) < 1e-3:
        digits, _, power = f"{value:.3e}".partition("e")
        return f"{digits} × 10{str(int(power)).translate(RAISED)}".replace("-", "−")
    return f"{value:,.0f}" if math.isfinite(value) and value == int(value) and abs(value) > 1 else plain(value)


def _with_limits(value: float, low: float, high: float) -> str:
    return f"{number(value)} ({plain(low)} to {plain(high)})" if math.isfinite(low) else number(value)


def quantity_name(name: str) -> str:
    """``difference/dice/tumor/external`` → ``difference in Dice, any tumor, external cases``."""
    kind, *names = name.split("/")
    if kind == "confusion":
        return " classified as ".join(map(readable, names))
    if kind in KINDS and len(names) == 3:
        metric, structure, split = names
        return f"{KINDS[kind]}{metric_name(metric)}, {structure_name(structure)}, {SPLITS.get(split, split)}"
    return ", ".join([metric_name(kind), *map(readable, names)])
