"""Analyze a Visual Turing Test: can readers tell synthetic images from real ones?

The primary question is whether the area under the ROC curve, averaged over readers, is *equivalent* to guessing: within a
margin around 0.5 that was fixed beforehand. "Not different from 0.5" is what a small study finds in any case, and a sensitivity
alone can be had by always answering "synthetic". Readers and cases are both random (``statistics.multireader``); the exact
binomial test of pooled answers, which papers report, stands beside it under its own name.

Reference:
    Chen et al. 2016 (design with ratings); Obuchowski and Rockette 1995, Hillis 2014 (mean over readers).
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freetumor.core.config import Config, Reading
from freetumor.core.errors import UserError
from freetumor.core.tables import INTEGER, NUMBER, TEXT, Schema, make_table, write_table
from freetumor.evaluation.reading_answers import MEAN, Panel, choose_panel, read_study
from freetumor.evaluation.reading_rows import (
    AUC,
    agreement_rows,
    crude_rows,
    mean_area,
    mean_columns,
    pooled_rows,
    reader_rows,
    repeats_rows,
    secondary_rows,
)
from freetumor.evaluation.statistics.multireader import Mean

if TYPE_CHECKING:
    import pandas as pd

EQUIVALENCE = "equivalence"

READING = Schema(
    "reader study",
    {
        "reader": TEXT,  # a name; "mean": over readers; "all": of all together
        "category": TEXT,  # empty: all
        "statistic": TEXT,
        "readers": INTEGER,
        "n": INTEGER,  # cases; of "all": answers, or cases of the agreement
        "value": NUMBER,  # equivalence: the area
        "ci_low": NUMBER,
        "ci_high": NUMBER,
        "p": NUMBER,  # auc: that the area is 0.5; equivalence: that it is outside the margin
        "test": TEXT,  # what interval and p take as random
        "note": TEXT,
    },
)


def score_reading(config: Config, answers: str | Path, key: str | Path, output: str | Path) -> "pd.DataFrame":
    """Analyze the answers of readers to a deck and write :data:`READING`.

    Args:
        config: the study; ``evaluation.reading`` holds the margin.
        answers: table of answers (CSV); see ``reading_answers``.
        key: the sealed key of the deck (CSV).
        output: output table.

    Returns:
        The table.

    Raises:
        UserError: if the study has no ``evaluation.reading``, or a table is not as it should be.
    """
    settings, confidence = config.evaluation.reading, config.evaluation.confidence
    if settings is None:
        raise UserError("evaluation.reading: expected `answers` and `key`, the tables of a reader study, got nothing")
    study = read_study(answers, key)
    panel = choose_panel(study)
    caught = list(crude_rows(study, confidence))
    rows = [
        *primary_rows(panel, settings, confidence, caught[-1] if caught else None),
        *secondary_rows(panel, confidence),
        *(row for reader in range(len(study.readers)) for row in reader_rows(study, reader, confidence)),
        *pooled_rows(study, confidence),
        *agreement_rows(panel, confidence),
        *repeats_rows(study, confidence),
        *caught,
    ]
    empty = {name: math.nan if kind == NUMBER else "" for name, kind in READING.columns.items()}
    table = make_table([empty | row for row in rows], READING)
    write_table(table, output, READING)
    return table


def verdict(area: Mean, settings: Reading, alpha: float, caught: dict[str, Any] | None) -> str:
    """What may be said of the primary question.

    Args:
        area: mean area of the readers.
        settings: margin, and what share of crude fakes must be caught.
        alpha: level of the tests.
        caught: the row of crude fakes of all readers; None if the deck has none.
    """
    p, share = area.equivalence(0.5, settings.margin), caught["value"] if caught else math.nan
    chance = f"0.5 plus or minus {settings.margin:g}"
    if math.isnan(p):
        return "not tested: readers and cases without any spread"
    seen = f"{100 * share:.0f} % of the crude fakes were caught"
    told = "; yet not 0.5" if area.test(0.5) < alpha else ""
    if p >= alpha:
        return f"equivalence to {chance} not shown{told}"
    if caught is None:
        return f"equivalent to {chance}{told}; no crude fakes in the deck: nothing shows that these readers see fakes"
    if share < settings.crude_caught:
        return f"equivalence not claimed: {seen}, fewer than {100 * settings.crude_caught:.0f} %"
    return f"equivalent to {chance}{told}; {seen}"


def format_reading(table: "pd.DataFrame") -> str:
    """The primary result and each reader's area, as plain text."""
    shown = table[table["statistic"].isin([AUC, EQUIVALENCE]) & (table["category"] == "")]
    lines = ["Area under the ROC curve, synthetic against real (0.5 is guessing)"]
    for row in shown.itertuples():
        name = EQUIVALENCE if row.statistic == EQUIVALENCE else row.reader
        note = f"  {row.note}" if row.note else ""
        lines.append(f"{name}  {row.value:.3f} ({row.ci_low:.3f} to {row.ci_high:.3f}), n = {row.n}{note}")
    return "\n".join(lines)


def primary_rows(panel: Panel, settings: Reading, confidence: float, caught: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """The mean area and its equivalence to guessing."""
    base = {"reader": MEAN, **panel.counts, "note": panel.note}
    if not panel.enough:
        note = "; ".join(filter(None, [panel.note, "too few answers to real or to synthetic cards"]))
        yield base | {"statistic": AUC, "note": note}
        return
    area, words = mean_area(panel), panel.design[1]
    yield base | {"statistic": AUC, "test": words} | mean_columns(area, confidence, 0.5)
    low, high = area.interval(1 - 2 * (1 - confidence))
    tost = {"value": area.value, "ci_low": low, "ci_high": high, "p": area.equivalence(0.5, settings.margin)}
    note = "; ".join(filter(None, [verdict(area, settings, 1 - confidence, caught), panel.note]))
    yield base | tost | {"statistic": EQUIVALENCE, "test": f"two one-sided tests, {words}", "note": note}
