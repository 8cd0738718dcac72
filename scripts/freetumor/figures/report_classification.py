"""The part of the report that only a classification has: rates, what was selected, and published beside measured numbers."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from freetumor.core.config import Config
from freetumor.core.tables import read_table
from freetumor.evaluation.claims import CLAIMS
from freetumor.evaluation.classification import (
    AUC,
    CLASSIFICATION,
    MCNEMAR,
    MEAN,
    OPTIMISM,
    WEIGHTED_SPECIFICITY,
)
from freetumor.evaluation.metrics import ACCURACY, SENSITIVITY, SPECIFICITY
from freetumor.evaluation.selection import SELECTIONS
from freetumor.figures.answers import count, listing, p_value, percent, plain, signed
from freetumor.figures.html import Html, element, folded, section, table
from freetumor.figures.style import metric_name, readable

if TYPE_CHECKING:
    import pandas as pd


def classification_sections(config: Config, classification: str | Path) -> list[Html]:
    """Sections of the report.

    Args:
        config: the study.
        classification: table of ``evaluation.classification.CLASSIFICATION``; ``selections.csv`` and ``claims.csv`` lie
            beside it.
    """
    rates = read_table(classification, CLASSIFICATION)
    chosen = read_table(Path(classification).with_name("selections.csv"), SELECTIONS)
    claims = read_table(Path(classification).with_name("claims.csv"), CLAIMS)
    parts = _rates(config, rates)
    parts += [_selected(chosen), *_optimism(config, rates)] if len(chosen) else []
    found = [section("Classification", *parts)]
    return [*found, _claims(config, claims)] if len(claims) else found


def _rates(config: Config, rates: "pd.DataFrame") -> list[Html]:
    """Two tables with a line per arm, of means over seeds: of all lesions together, and of each category."""
    cells = rates.set_index(["arm", "seed", "metric", "category"]).sort_index()
    overall, categories = [], []
    for arm in dict.fromkeys(rates["arm"]):
        here = cells.loc[arm, MEAN]
        accuracy = here.loc[ACCURACY, ""]
        tests = rates[(rates["arm"] == arm) & (rates["metric"] == MCNEMAR)]
        line = [arm, plain(accuracy["value"]), _limits(accuracy["ci_low"], accuracy["ci_high"]), plain(accuracy["sd"])]
        line += [plain(here.loc[(metric, ""), "value"]) for metric in (WEIGHTED_SPECIFICITY, AUC)]
        overall.append([*line, _mcnemar(tests, 1 - config.evaluation.confidence)])
        pairs = [(here.loc[SENSITIVITY, name]["value"], here.loc[SPECIFICITY, name]["value"]) for name in config.categories]
        categories.append([arm, *(" / ".join(map(plain, pair)) for pair in pairs)])
    header = ["Arm", "Accuracy", f"{percent(config.evaluation.confidence)} CI", "SD of seeds", "Weighted specificity"]
    header += ["Macro AUC", "McNemar p, by seed"]
    note = (
        "Test cases of all folds together, mean over seeds. The interval takes patients and trainings as random. The "
        f"sensitivity weighted by class size equals the accuracy. McNemar's exact test against {config.compared[0]} is what "
        "papers report: it speaks of one seed, so its verdict may change with the seed. evaluation/classification.csv holds "
        "each seed with Wilson's intervals."
    )
    names = ["Arm", *map(readable, config.categories)]
    return [
        table(note, header, overall, range(1, len(header) - 1)),
        table("Sensitivity / specificity of each category against the others", names, categories, range(1, len(names))),
    ]


def _mcnemar(rows: "pd.DataFrame", level: float) -> str:
    if rows.empty:
        return "–"
    low, high = (p_value(p).removeprefix("= ") for p in (rows["p"].min(), rows["p"].max()))
    return f"{low} to {high}; below {level:.2g} in {(rows['p'] < level).sum()} of {len(rows)}"


def _selected(chosen: "pd.DataFrame") -> Html:
    rows = []
    for (name, by), here in chosen.groupby(["selection", "by"], sort=False):
        kept = here[here["chosen"]]
        picks = [f"{arm}: {listing(list(map(str, folds)))}" for arm, folds in kept.groupby("candidate", sort=False)["fold"]]
        way = {"validation": "validation cases of each fold (nested)", "test": "test cases of all folds (optimistic)"}[by]
        rows.append((name, way, listing(list(dict.fromkeys(here["candidate"]))), "; ".join(picks), plain(kept["value"].mean())))
    header = ("Selection", "Chosen by", "Candidates", "Chosen arm: folds", "Value it was chosen by")
    return table("What was selected (evaluation/selections.csv)", header, rows, [4])


def _optimism(config: Config, rates: "pd.DataFrame") -> list[Html]:
    return [
        element(
            "p",
            f"{row.arm} looks {signed(row.value)} better than {row.baseline} in accuracy "
            f"({percent(config.evaluation.confidence)} CI {_limits(row.ci_low, row.ci_high)}; {count(row.n, 'case')}).",
        )
        for row in rates[rates["metric"] == OPTIMISM].itertuples()
    ]


def _claims(config: Config, claims: "pd.DataFrame") -> Html:
    """Published numbers that the study has a counterpart of, then all others."""
    matched = (claims["arm"] != "") & ~claims["quantity"].str.startswith("confusion/")
    warning = (
        "The two sides come from different data: a difference between them is no failure to reproduce, and an agreement no "
        "proof. Intervals of published shares are Wilson's, computed here from the published counts."
    )
    parts = [element("p", warning)]
    if matched.any():
        parts.append(_claim_table(config, "Published numbers with a counterpart in this study", claims[matched]))
    if (~matched).any():
        rest = _claim_table(config, "Confusion matrices, and what this study does not measure", claims[~matched])
        parts.append(folded(f"Further published numbers ({(~matched).sum()})", rest))
    return section("Claimed and reproduced", *parts)


def _claim_table(config: Config, name: str, claims: "pd.DataFrame") -> Html:
    interval = f"({percent(config.evaluation.confidence)} CI)"
    header = (
        "Quantity",
        "Setting",
        f"Published {interval}",
        "Published on",
        f"Measured {interval}",
        "Measured on",
        "Arm",
        "Source",
    )
    rows = [
        (_quantity(row.quantity), readable(row.setting), _with_limits(row.claimed, row.claimed_low, row.claimed_high),
         row.claimed_data, _with_limits(row.measured, row.measured_low, row.measured_high), row.measured_data or "–",
         row.arm or "–", row.source)
        for row in claims.itertuples()
    ]  # fmt: skip
    return table(name, header, rows, (2, 4))


def _with_limits(value: float, low: float, high: float) -> str:
    return f"{plain(value)} ({_limits(low, high)})" if math.isfinite(low) else plain(value)


def _quantity(name: str) -> str:
    """``sensitivity/cyst`` → ``sensitivity, cyst``; ``confusion/cyst/metastasis`` → ``cyst classified as metastasis``."""
    metric, *names = name.split("/")
    if metric == "confusion":
        return " classified as ".join(map(readable, names))
    return ", ".join([metric_name(metric), *map(readable, names)])


def _limits(low: float, high: float) -> str:
    return f"{plain(low)} to {plain(high)}" if math.isfinite(low) else "–"
