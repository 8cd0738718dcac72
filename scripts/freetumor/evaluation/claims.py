"""Published numbers beside the measured ones, each with the data that it was measured on, and a verdict by the interval.

A quantity is named as the tables name it:

``mean/<metric>/<structure>/<split>``        a mean of an arm, from the comparisons
``difference/<metric>/<structure>/<split>``  an arm minus the baseline, from the comparisons
``p/<metric>/<structure>/<split>``           the p of that difference
``<metric>``, ``<metric>/<category>``        a rate of a classification
``confusion/<true>/<predicted>``             a share of a true category
anything else                                nothing that a study measures
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.tables import NUMBER, SUMMARY, TEXT, Schema, make_table, read_table, write_table
from freetumor.evaluation.classification import CLASSIFICATION, CONFUSION, MEAN
from freetumor.evaluation.statistics.proportions import wilson_interval

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED = Schema(
    "published numbers",
    {
        "quantity": TEXT,
        "setting": TEXT,  # an arm, a selection, `baseline`, or a synthesizer: its arm with most samples; or none of the study's
        "value": NUMBER,
        "unit": TEXT,  # the measured value has the same one
        "numerator": NUMBER,  # empty if the value is no share of cases, or was not printed as one
        "denominator": NUMBER,
        "data": TEXT,
        "source": TEXT,
        "trust": TEXT,  # first-hand: read where it was published; secondary: quoted by others; derived: computed from such
        "needs": TEXT,  # what a study must have to measure it; empty if it takes nothing but the arm
    },
)
TRUST = ("first-hand", "secondary", "derived")
CLAIMS = Schema(
    "claimed versus reproduced",
    {
        "quantity": TEXT,
        "setting": TEXT,
        "claimed": NUMBER,
        "claimed_low": NUMBER,  # Wilson's interval, computed here: it was not published
        "claimed_high": NUMBER,
        "unit": TEXT,
        "claimed_data": TEXT,
        "source": TEXT,
        "trust": TEXT,
        "arm": TEXT,  # of this study; empty if it has none
        "measured": NUMBER,  # mean over seeds
        "measured_low": NUMBER,
        "measured_high": NUMBER,
        "measured_data": TEXT,
        "verdict": TEXT,
        "reason": TEXT,  # why the two sides may differ, or why one is missing
    },
)
BASELINE = "baseline"
INSIDE, LOWER, HIGHER = "inside our interval", "measured lower", "measured higher"
NO_INTERVAL, NOT_MEASURED = "no verdict", "not measured"
ROUNDING = 1.1e-3  # percent are printed with one decimal, some cut off instead of rounded


@dataclass(frozen=True)
class Measure:
    """What a study has measured: a value, its interval (NaN if it has none), and what it rests on."""

    value: float
    low: float
    high: float
    n: int
    noun: str


Measures = Mapping[tuple[str, str], Measure]  # by quantity and arm


def compare_claims(
    config: Config,
    published: str | Path,
    summary: str | Path,
    output: str | Path,
    classification: str | Path | None = None,
) -> "pd.DataFrame":
    """Set published numbers beside those of the study.

    Args:
        config: the study.
        published: table of :data:`PUBLISHED`.
        summary: table of ``core.tables.SUMMARY``.
        output: table of :data:`CLAIMS`, in the order of the published ones.
        classification: of a classification, table of its rates; ``confusion.csv`` lies beside it.

    Returns:
        The output.

    Raises:
        UserError: if a published value is not the share that stands beside it, or its trust is unknown.
    """
    measures = dict(comparison_measures(read_table(summary, SUMMARY)))
    if classification is not None:
        confusion = read_table(Path(classification).with_name("confusion.csv"), CONFUSION)
        measures |= classification_measures(read_table(classification, CLASSIFICATION), confusion)
    table = set_beside(config, published, measures)
    write_table(table, output, CLAIMS)
    return table


def set_beside(config: Config, published: str | Path, measures: Measures) -> "pd.DataFrame":
    """The rows of :func:`compare_claims`."""
    made = " made in code" if all(source.kind.endswith("phantom") for source in config.sources) else ""
    rows = []
    for row in read_table(published, PUBLISHED).to_dict("records"):
        where = f"{published}: {row['quantity']} of {row['setting']}"
        if row["trust"] not in TRUST:
            raise UserError(f"{where}: expected a trust among {', '.join(TRUST)}, got '{row['trust']}'")
        low, high = _published_interval(row, config.evaluation.confidence, where)
        claim = {"quantity": row["quantity"], "setting": row["setting"], "claimed": row["value"], "unit": row["unit"]}
        claim |= {"claimed_low": low, "claimed_high": high, "claimed_data": row["data"]}
        claim |= {name: row[name] for name in ("source", "trust")}
        rows.append(claim | _other_side(row, arm_of_setting(config, row["setting"]), measures, made))
    return make_table(rows, CLAIMS)


def _other_side(row: Mapping[str, Any], arm: str, measures: Measures, made: str) -> dict[str, Any]:
    """The measured columns, the verdict and its reason."""
    measure = measures.get((row["quantity"], arm))
    nothing = {"arm": "", "measured": math.nan, "measured_low": math.nan, "measured_high": math.nan, "measured_data": ""}
    if measure is None:
        why = row["needs"] and f"needs {row['needs']}"
        why = why or ("this study does not measure it" if arm else f"no arm of this study is '{row['setting']}'")
        return nothing | {"verdict": NOT_MEASURED, "reason": why}
    found = {"arm": arm, "measured": measure.value, "measured_low": measure.low, "measured_high": measure.high}
    found |= {"measured_data": f"this study, {measure.n} {measure.noun}{made}"}
    verdict = judge(row["value"], measure)
    why = "it has no interval, and other data" if verdict == NO_INTERVAL else "other data"
    return found | {"verdict": verdict, "reason": f"{why}{': drawings, not patients' if made else ''}"}


def judge(claimed: float, measure: Measure) -> str:
    """On which side of a claimed value the measured interval lies."""
    if not (math.isfinite(measure.low) and math.isfinite(measure.high)):
        return NO_INTERVAL
    if measure.low <= claimed <= measure.high:
        return INSIDE
    return LOWER if measure.high < claimed else HIGHER


def comparison_measures(summary: "pd.DataFrame") -> Iterator[tuple[tuple[str, str], Measure]]:
    """What a table of comparisons holds: means of both sides, differences, and their p."""
    nan = math.nan
    for row in summary.itertuples():
        place, noun = f"{row.metric}/{row.structure}/{row.split}", "lesions" if row.metric == "sensitivity_early" else "cases"
        yield (f"difference/{place}", row.arm), Measure(row.difference, row.ci_low, row.ci_high, row.n, noun)
        yield (f"p/{place}", row.arm), Measure(row.p, nan, nan, row.n, noun)
        yield (f"mean/{place}", row.arm), Measure(row.mean, nan, nan, row.n, noun)
        yield (f"mean/{place}", row.baseline), Measure(row.mean_baseline, nan, nan, row.n, noun)


def classification_measures(table: "pd.DataFrame", confusion: "pd.DataFrame") -> dict[tuple[str, str], Measure]:
    """What the tables of a classification hold: rates over seeds, and shares of the confusion matrices."""
    found = {}
    for row in table[table["seed"] == MEAN].itertuples():
        name = f"{row.metric}/{row.category}" if row.category else row.metric
        found[name, row.arm] = Measure(row.value, row.ci_low, row.ci_high, row.n, "lesions")
    for (arm, true), here in confusion.groupby(["arm", "true"]):
        seeds, total = here["seed"].nunique(), here["count"].sum()
        for predicted, count in here.groupby("predicted")["count"].sum().items() if total else ():
            share = Measure(float(count / total), math.nan, math.nan, int(total / seeds), "lesions")
            found[f"confusion/{true}/{predicted}", arm] = share
    return found


def arm_of_setting(config: Config, setting: str) -> str:
    """The arm or selection of the study that a published setting speaks of; empty if there is none."""
    if setting == BASELINE:
        return config.compared[0]
    if setting in config.compared:
        return setting
    arms = [arm for arm in config.recognition.arms if config.arms[arm].synthesizer == setting]
    return max(arms, key=lambda arm: config.arms[arm].synthetic, default="")


def _published_interval(row: Mapping[str, Any], confidence: float, where: str) -> tuple[float, float]:
    if math.isnan(row["numerator"]) or math.isnan(row["denominator"]):
        return math.nan, math.nan
    share = row["numerator"] / row["denominator"]
    if abs(share - row["value"]) > ROUNDING:
        given = f"{row['numerator']:g}/{row['denominator']:g}"
        raise UserError(f"{where}: expected the value {share:.3f} ({given}), got {row['value']:g}")
    return wilson_interval(row["numerator"], row["denominator"], confidence)
