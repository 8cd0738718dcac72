"""The part of the report that only a classification has: rates, and what was selected."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from freetumor.core.config import Config
from freetumor.core.tables import read_table
from freetumor.evaluation.classification import (
    AUC,
    CLASSIFICATION,
    MCNEMAR,
    MEAN,
    OPTIMISM,
    WEIGHTED_SPECIFICITY,
)
from freetumor.evaluation.metric_names import ACCURACY, SENSITIVITY, SPECIFICITY
from freetumor.evaluation.selection import SELECTIONS
from freetumor.figures.answers import count, listing, p_value, percent, plain, signed
from freetumor.figures.html import Html, Section, element, section, table
from freetumor.figures.style import readable

if TYPE_CHECKING:
    import pandas as pd


def classification_section(config: Config, classification: str | Path) -> Section:
    """The rates of a classification, and what was selected.

    Args:
        config: the study.
        classification: table of ``evaluation.classification.CLASSIFICATION``; ``selections.csv`` lies beside it.
    """
    rates = read_table(classification, CLASSIFICATION)
    chosen = read_table(Path(classification).with_name("selections.csv"), SELECTIONS)
    parts = _rates(config, rates)
    parts += [_selected(chosen), *_optimism(config, rates)] if len(chosen) else []
    return section("Classification", *parts)


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


def _limits(low: float, high: float) -> str:
    return f"{plain(low)} to {plain(high)}" if math.isfinite(low) else "–"
