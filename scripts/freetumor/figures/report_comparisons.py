"""The part of the report that compares arms with the baseline: differences, effect sizes, and other tests of the same."""

import math
from typing import TYPE_CHECKING

from freetumor.core.config import Config
from freetumor.evaluation.comparisons import PRIMARY
from freetumor.figures.answers import (
    GAIN,
    LOSS,
    excludes_zero,
    is_primary,
    p_value,
    percent,
    plain,
    signed,
    test_names,
    verdict,
)
from freetumor.figures.html import Html, Section, element, folded, section, table
from freetumor.figures.style import SPLITS, metric_name, structure_name

if TYPE_CHECKING:
    import pandas as pd


def comparisons_section(config: Config, comparisons: "pd.DataFrame") -> Section:
    """The primary comparisons, effect sizes beside them, and the secondary ones.

    Args:
        config: the study.
        comparisons: table of ``core.tables.SUMMARY``.
    """
    primary = comparisons["family"] == PRIMARY
    parts = [element("p", "The study has no primary comparison.")]
    if primary.any():
        parts = [_comparison_table(config, "Primary comparisons, p adjusted by Holm's method", comparisons[primary])]
        parts.append(folded("Effect sizes, and other tests of the primary comparisons", _effects(config, comparisons[primary])))
    if (~primary).any():
        others = _comparison_table(config, "Secondary comparisons, not corrected", comparisons[~primary])
        parts.append(folded(f"Secondary comparisons ({(~primary).sum()})", others))
    return section("Comparisons", *parts)


def _comparison_table(config: Config, name: str, rows: "pd.DataFrame") -> Html:
    """One line per comparison; what all lines share is said in the caption instead of in a column."""
    confidence = config.evaluation.confidence
    shared = [column for column in ("structure", "split") if rows[column].nunique() == 1]
    naming = {"structure": ("Structure", structure_name), "split": ("Test cases", lambda split: SPLITS.get(split, split))}
    own = [column for column in naming if column not in shared]
    header = ["Arm", "Metric", *(naming[column][0] for column in own), "Mean", "Baseline", "Difference"]
    header += [f"{percent(confidence)} CI", "p", "Adjusted p", "n (patients; trainings)", "Verdict"]
    body = []
    for row in rows.itertuples():
        limits = f"{plain(row.ci_low)} to {plain(row.ci_high)}" if math.isfinite(row.ci_low) else "–"
        what = metric_name(row.metric) + (" (lower is better)" if row.better == "lower" else "")
        places = [naming[column][1](getattr(row, column)) for column in own]
        numbers = [plain(row.mean), plain(row.mean_baseline), signed(row.difference), limits, _p(row.p), _p(row.p_adjusted)]
        units = f"{row.n} ({row.patients}; {row.trainings}){f'; {row.note}' if row.note else ''}"
        body.append([row.arm, what, *places, *numbers, units, spoken_verdict(row, confidence)])
    said = ", ".join([naming[column][1](rows[column].iloc[0]) for column in shared])
    place = f" ({said})" if said else ""
    tests, baseline = test_names(rows["test"]), rows["baseline"].iloc[0]
    note = f"{name}{place}. Test: {tests}. Differences are arm minus {baseline}."
    return table(note, header, body, numeric=range(2 + len(own), len(header) - 1))


def _p(value: float) -> str:
    return p_value(value).removeprefix("= ") if math.isfinite(value) else "–"


def spoken_verdict(row: object, confidence: float) -> object:
    """What a row says of its difference: of a primary one whether it is shown, of others where the interval lies."""
    if not is_primary(row):
        if not math.isfinite(row.ci_low):
            return "no interval"
        return "interval excludes 0" if excludes_zero(row) else "interval includes 0"
    found = verdict(row, confidence)
    return element("span", f"{found} shown", class_=found) if found in (GAIN, LOSS) else found


def _effects(config: Config, rows: "pd.DataFrame") -> list[Html]:
    """What speaks of the trained networks at hand, not of the method: effect sizes, and tests over patients alone."""
    note = (
        "Of the networks that were trained, over patients, differences averaged over trainings: these numbers say nothing of "
        "another training. Standardized difference: mean over standard deviation of the patients' differences (Hedges). "
        "Share better: patients on whom the arm beats the baseline, equal ones counted half. The last column is the test of "
        "FreeTumor's authors: paired t, Bonferroni."
    )
    level = percent(config.evaluation.confidence)
    header = (
        "Arm",
        "Metric",
        f"Standardized difference ({level} CI)",
        f"Share better ({level} CI)",
        "p by sign flips",
        "p by t",
    )
    body = [
        (row.arm, metric_name(row.metric), _with_limits(row.effect, row.effect_low, row.effect_high),
         _with_limits(row.superiority, row.superiority_low, row.superiority_high), _p(row.p_trained), _p(row.p_published))
        for row in rows.itertuples()
    ]  # fmt: skip
    return [element("p", note, class_="muted"), table("Effect sizes and other tests", header, body, range(2, 6))]


def _with_limits(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return "–"
    return f"{plain(value)} ({plain(low)} to {plain(high)})" if math.isfinite(low) else plain(value)
