"""Published numbers beside the measured ones, each with the data that it was measured on."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.tables import NUMBER, TEXT, Schema, make_table, read_table
from freetumor.evaluation.inference import wilson_interval

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED = Schema(
    "published numbers",
    {
        "quantity": TEXT,  # a metric of the classification table, `metric/category`, or `confusion/true/predicted`
        "setting": TEXT,  # an arm, a selection, `baseline`, or a synthesizer: its arm with most samples; or none of the study's
        "value": NUMBER,
        "numerator": NUMBER,  # empty if the value is no share of cases, or was not printed as one
        "denominator": NUMBER,
        "data": TEXT,
        "source": TEXT,
    },
)
CLAIMS = Schema(
    "claimed versus reproduced",
    {
        "quantity": TEXT,
        "setting": TEXT,
        "claimed": NUMBER,
        "claimed_low": NUMBER,  # Wilson's interval, computed here: it was not published
        "claimed_high": NUMBER,
        "claimed_data": TEXT,
        "source": TEXT,
        "arm": TEXT,  # of this study; empty if it has none
        "measured": NUMBER,  # mean over seeds
        "measured_low": NUMBER,
        "measured_high": NUMBER,
        "measured_data": TEXT,
    },
)
BASELINE = "baseline"
NOTHING = {"arm": "", "measured": math.nan, "measured_low": math.nan, "measured_high": math.nan, "measured_data": ""}
ROUNDING = 1.1e-3  # percent are printed with one decimal, some cut off instead of rounded


def set_beside(
    config: Config, published: str | Path | None, table: "pd.DataFrame", confusion: "pd.DataFrame"
) -> "pd.DataFrame":
    """Set published numbers beside those of the study.

    Args:
        config: the study.
        published: table of :data:`PUBLISHED`; None gives an empty result.
        table: table of ``evaluation.classification.CLASSIFICATION``.
        confusion: table of ``evaluation.classification.CONFUSION``.

    Returns:
        Rows of :data:`CLAIMS`, in the order of the published ones.

    Raises:
        UserError: if a published value is not the share that stands beside it.
    """
    if published is None:
        return make_table([], CLAIMS)
    rows = []
    for row in read_table(published, PUBLISHED).to_dict("records"):
        low, high = _interval(row, config.evaluation.confidence, published)
        arm = arm_of_setting(config, row["setting"])
        measured = _measured(row["quantity"], arm, table, confusion) if arm else None
        claim = {"quantity": row["quantity"], "setting": row["setting"], "claimed": row["value"], "source": row["source"]}
        claim |= {"claimed_low": low, "claimed_high": high, "claimed_data": row["data"]}
        rows.append(claim | (measured | {"arm": arm, "measured_data": _own_data(config, table)} if measured else NOTHING))
    return make_table(rows, CLAIMS)


def arm_of_setting(config: Config, setting: str) -> str:
    """The arm or selection of the study that a published setting speaks of; empty if there is none."""
    if setting == BASELINE:
        return config.compared[0]
    if setting in config.compared:
        return setting
    arms = [arm for arm in config.recognition.arms if config.arms[arm].synthesizer == setting]
    return max(arms, key=lambda arm: config.arms[arm].synthetic, default="")


def _interval(row: dict[str, Any], confidence: float, path: str | Path) -> tuple[float, float]:
    if math.isnan(row["numerator"]) or math.isnan(row["denominator"]):
        return math.nan, math.nan
    share = row["numerator"] / row["denominator"]
    if abs(share - row["value"]) > ROUNDING:
        raise UserError(
            f"{path}: {row['quantity']} of {row['setting']}: expected the value {share:.3f} "
            f"({row['numerator']:g}/{row['denominator']:g}), got {row['value']:g}"
        )
    return wilson_interval(row["numerator"], row["denominator"], confidence)


def _measured(quantity: str, arm: str, table: "pd.DataFrame", confusion: "pd.DataFrame") -> dict[str, Any] | None:
    """The study's own value with its interval; None if the study does not measure the quantity."""
    metric, *names = quantity.split("/")
    if metric == "confusion" and len(names) == 2:
        here = confusion[(confusion["arm"] == arm) & (confusion["true"] == names[0])]
        found = here.loc[here["predicted"] == names[1], "count"]
        if not len(found) or not here["count"].sum():
            return None
        return NOTHING | {"measured": float(found.sum() / here["count"].sum())}
    category = names[0] if names else ""
    chosen = (table["arm"] == arm) & (table["seed"] == "mean") & (table["metric"] == metric) & (table["category"] == category)
    if not chosen.any():
        return None
    row = table[chosen].iloc[0]
    return {"measured": row["value"], "measured_low": row["ci_low"], "measured_high": row["ci_high"]}


def _own_data(config: Config, table: "pd.DataFrame") -> str:
    made = all(source.kind.endswith("phantom") for source in config.sources)
    return f"this study, {table['n'].max()} lesions{' made in code' if made else ''}"
