"""What became of each draw of a bank, counted: by size class, organ and contrast, and at other thresholds of the gate.

panel      group               rows
---------  ------------------  -----------------------------------------------------------------------------------------
size       size class          draws by outcome, shares of the group, Wilson's interval of the accepted share
organ      organ               the same
contrast   range of HU         the same, judged draws only, in five groups
threshold  size class          share of the judged draws whose score reaches a threshold
in_use     (empty)             the threshold in use
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from freetumor.core.config import Config, Synthesizer
from freetumor.core.tables import MANIFEST, TEXT, conform, read_table, write_table

from .gate_table import ACCEPTED, GATE, IN_USE, size_classes
from .statistics.proportions import wilson_interval

JUDGED = ("accepted", "refused")
THRESHOLDS = np.linspace(0, 1, 41)
CONTRAST_GROUPS = 5
NOT_PLACED = "not placed"  # a draw that found no place has no size


def score_gate(config: Config, manifests: Sequence[str | Path], output: str | Path) -> None:
    """Count the draws of all banks.

    Args:
        config: the study; thresholds and size classes are taken from it.
        manifests: tables of ``core.tables.MANIFEST``, of any number of folds and synthesizers.
        output: table of :data:`GATE`.
    """
    numbers = gate_numbers(read_manifests(config, manifests), config.evaluation.confidence)
    rows = []
    for name in sorted(set(numbers["synthesizer"])):
        threshold = gate_threshold(config.synthesizers[name]) if name in config.synthesizers else None
        if threshold is not None:
            rows.append({"synthesizer": name, "panel": IN_USE, "threshold": threshold})
    numbers = pd.concat([numbers, pd.DataFrame(rows, columns=list(GATE.columns))], ignore_index=True) if rows else numbers
    texts = {name: "" for name, kind in GATE.columns.items() if kind == TEXT}
    write_table(conform(numbers.fillna(texts | {"draws": 0}), GATE), output, GATE)


def read_manifests(config: Config, manifests: Sequence[str | Path]) -> pd.DataFrame:
    """Synthesizer, organ, size class, outcome, score and contrast of every draw."""
    tables = [read_table(path, MANIFEST) for path in manifests]
    columns = ["synthesizer", "organ", "size", "outcome", "score", "contrast_hu"]
    if not tables:
        return pd.DataFrame(columns=columns)
    table = pd.concat(tables, ignore_index=True)
    size = [
        size_class(json.loads(parameters or "{}"), size_classes(config, name))
        for parameters, name in zip(table["parameters"], table["synthesizer"], strict=True)
    ]
    return table.assign(size=size)[columns]


def size_class(parameters: Mapping[str, Any], radii: Mapping[str, float]) -> str:
    """The size class that was drawn; for the shape of a real lesion, the class whose nominal radius is nearest.

    Args:
        parameters: of the draw; empty if the organ offered no place.
        radii: nominal radius of each class in mm.
    """
    if parameters.get("size") in radii:
        return parameters["size"]
    if "radius_mm" in parameters:
        return min(radii, key=lambda name: abs(np.log(radii[name] / parameters["radius_mm"])))
    return NOT_PLACED


def shares(table: pd.DataFrame, by: str, confidence: float) -> pd.DataFrame:
    """Draws by group and outcome: ``group outcome draws share low high``, shares summing to one per group.

    Every group with judged draws has a row of accepted ones, with Wilson's interval of their share; others have no interval.
    """
    counts = table.groupby([by, "outcome"]).size().unstack(fill_value=0)
    counts[ACCEPTED] = counts.get(ACCEPTED, 0)
    rows = counts.rename_axis(index="group").stack().rename("draws").reset_index()
    judged = rows["group"].map(counts.reindex(columns=list(JUDGED), fill_value=0).sum(axis=1)) > 0
    rows = rows[(rows["draws"] > 0) | (judged & (rows["outcome"] == ACCEPTED))]
    totals = rows.groupby("group")["draws"].transform("sum")
    intervals = [
        wilson_interval(row.draws, total, confidence) if row.outcome == ACCEPTED else (np.nan, np.nan)
        for row, total in zip(rows.itertuples(), totals, strict=True)
    ]
    low, high = np.array(intervals, float).reshape(-1, 2).T
    return rows.assign(share=rows["draws"] / totals, low=low, high=high)


def contrast_groups(contrast: pd.Series) -> pd.Series:
    """Contrasts in HU in up to five groups of about equal size, named by their bounds in whole HU, in rising order."""
    edges = np.unique(np.rint(np.quantile(contrast, np.linspace(0, 1, CONTRAST_GROUPS + 1))))
    if len(edges) < 2:
        edges = np.array([edges[0] - 1, edges[0] + 1])
    edges[0], edges[-1] = np.floor(contrast.min()), np.ceil(contrast.max() + 1e-9)
    names = [f"{low:.0f} to {high:.0f} HU".replace("-", "−") for low, high in itertools.pairwise(edges)]
    return pd.cut(contrast, edges, labels=names, include_lowest=True).astype(str)


def kept_at(table: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Share of the judged draws of each size class that score at least a threshold: ``group threshold draws share low high``.

    Only the last attempt of a draw is on record. With several attempts, those before it might have passed, or been followed by
    others: what the gate would keep is then at least this.
    """
    rows = []
    for group, here in table.dropna(subset="score").groupby("size", sort=True):
        for threshold in THRESHOLDS:
            kept, draws = int((here["score"] >= threshold - 1e-9).sum()), len(here)
            rows.append((group, float(threshold), draws, kept / draws, *wilson_interval(kept, draws, confidence)))
    return pd.DataFrame(rows, columns=["group", "threshold", "draws", "share", "low", "high"])


def gate_numbers(table: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Shares by size, organ and contrast, and of what each threshold keeps: one long table."""
    columns = list(GATE.columns)
    parts = [pd.DataFrame(columns=columns)]
    for name, here in table.groupby("synthesizer", sort=True):
        found = [(by, shares(here, by, confidence)) for by in ("size", "organ")]
        judged = here[here["outcome"].isin(JUDGED) & here["contrast_hu"].notna()]
        if len(judged):
            groups = contrast_groups(judged["contrast_hu"])
            order = judged["contrast_hu"].groupby(groups).min().sort_values().index
            contrasts = shares(judged.assign(contrast=groups), "contrast", confidence)
            found.append(("contrast", contrasts.sort_values("group", key=lambda g: g.map(list(order).index), kind="stable")))
        found.append(("threshold", kept_at(here, confidence)))
        parts += [part.assign(synthesizer=name, panel=panel).reindex(columns=columns) for panel, part in found if len(part)]
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def gate_threshold(settings: Synthesizer) -> float | None:
    """The least main score that a synthesizer's gate accepts; None if it has no such score."""
    if settings.gate.kind == "none" or not settings.has("recall_gate"):
        return settings.gate.least_score
    from freetumor.synthesizer.gates import PUBLISHED_THRESHOLD

    return PUBLISHED_THRESHOLD
