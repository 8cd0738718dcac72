"""The participant flow as a figure: who entered, who left and why, and where the others went."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from freetumor.core.config import Config
from freetumor.core.tables import CASES, QUARANTINE, read_table
from freetumor.figures import style
from freetumor.figures.answers import count
from freetumor.figures.flow import DEVELOPMENT, EXTERNAL, POOL, participant_flow, quarantined_cases, roles
from freetumor.figures.fragments import Caption

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE = 3.1  # mm
MOST_REASONS = 8
PURPOSES = {
    DEVELOPMENT: ("development", "labeled; folds for training and test"),
    POOL: ("pool", "tumors not labeled; painted on"),
    EXTERNAL: ("external", "tested on, never trained on"),
}


def plot_flow(config: Config, cases: str | Path, quarantine: str | Path, output: str | Path) -> None:
    """Draw the flow of cases and patients.

    Args:
        config: the study.
        cases: table of ``core.tables.CASES``.
        quarantine: table of ``core.tables.QUARANTINE``.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    from matplotlib.figure import Figure

    table, refused = read_table(cases, CASES), read_table(quarantine, QUARANTINE)
    numbers = flow_numbers(table, refused)
    reasons = _reasons(numbers)
    folds = numbers[numbers["step"] == "fold"]
    middle = max(3, len(reasons) + 1) * LINE + 4
    bottom = 17 + LINE * max(1, len(folds))
    height = 16 + middle + 16 + bottom + 6
    with style.styled():
        figure = Figure(figsize=(style.DOUBLE / 25.4, height / 25.4))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, style.DOUBLE), ylim=(0, height))
        axes.set_axis_off()
        _draw(axes, config, numbers, reasons, height, middle, bottom)
        style.save(figure, output, numbers, _words(numbers))


def flow_numbers(cases: pd.DataFrame, quarantine: pd.DataFrame) -> pd.DataFrame:
    """``step name cases patients``: entered, refused, excluded, used, the three purposes, and the folds of development.

    Patients of cases that were refused before a table named them are not known; they have no number.
    """
    flow = participant_flow(cases, quarantine)
    role = roles(cases)
    refused = quarantine[quarantine["case_id"].isin(quarantined_cases(cases, quarantine))]
    first = refused.drop_duplicates("case_id")
    rows = [("entered", "", flow.raw, None)]
    rows += [
        ("quarantined", str(code), int(found), None)
        for code, found in first["code"].value_counts(sort=True).sort_index().items()
    ]
    rows += [("excluded", reason, found, _patients(cases, role == reason)) for reason, found in flow.excluded.items()]
    used = role.isin(list(PURPOSES))
    rows.append(("used", "", flow.analyzed, _patients(cases, used)))
    rows += [("purpose", name, int((role == name).sum()), _patients(cases, role == name)) for name in PURPOSES]
    for fold in sorted(set(cases.loc[role == DEVELOPMENT, "fold"])):
        here = (role == DEVELOPMENT) & (cases["fold"] == fold)
        rows.append(("fold", str(fold), int(here.sum()), _patients(cases, here)))
        rows.append(("fold with tumor", str(fold), int((here & cases["tumors"].ne("")).sum()), None))
    return pd.DataFrame(rows, columns=["step", "name", "cases", "patients"]).astype({"patients": "Int64"})


def _patients(cases: pd.DataFrame, chosen: pd.Series) -> int:
    return int(cases.loc[chosen, "patient_id"].nunique())


def _reasons(numbers: pd.DataFrame) -> list[str]:
    """One line per reason to leave; of many, the rest in one."""
    lost = numbers[numbers["step"].isin(["quarantined", "excluded"])]
    lines = [f"{row.cases:,}  {style.readable(row.name)} ({row.step})" for row in lost.itertuples(index=False)]
    if len(lines) > MOST_REASONS:
        rest = int(lost["cases"].iloc[MOST_REASONS - 1 :].sum())
        lines = [*lines[: MOST_REASONS - 1], f"{rest:,}  for {len(lines) - MOST_REASONS + 1} other reasons"]
    return lines


def _draw(
    axes: "Axes", config: Config, numbers: pd.DataFrame, reasons: Sequence[str], height: float, middle: float, bottom: float
) -> None:
    def found(step: str, name: str = "") -> pd.Series:
        return numbers[(numbers["step"] == step) & (numbers["name"] == name)].iloc[0]

    wide, center = 56.0, 62.0
    top = height - 3
    _box(axes, center - wide / 2, top - 11, wide, 11, [f"{count(int(found('entered')['cases']), 'case')} entered"], style.MUTED)
    _arrow(axes, (center, top - 11), (center, top - 14 - middle))
    lost = numbers.loc[numbers["step"].isin(["quarantined", "excluded"]), "cases"].sum()
    lines = [f"{count(int(lost), 'case')} left", *reasons]
    tall = len(lines) * LINE + 3
    level = top - 12 - middle / 2
    _box(axes, 108, level - tall / 2, 72, tall, lines, style.FAINT, left_aligned=True)
    _arrow(axes, (center, level), (108, level))
    used = found("used")
    low = top - 14 - middle
    words = [f"{count(int(used['cases']), 'case')} used", count(int(used["patients"]), "patient")]
    _box(axes, center - wide / 2, low - 11, wide, 11, words, style.MUTED)
    colors = {DEVELOPMENT: style.CYCLE[2], POOL: style.FAINT, EXTERNAL: style.CYCLE[3]}
    for place, (name, (title, purpose)) in enumerate(PURPOSES.items()):
        row, left = found("purpose", name), 2.0 + 61.0 * place
        words = [f"{count(int(row['cases']), 'case')}: {title}", count(int(row["patients"]), "patient"), purpose]
        if name == DEVELOPMENT:
            for fold in numbers.loc[numbers["step"] == "fold", "name"]:
                own, tumor = found("fold", fold), found("fold with tumor", fold)
                run = "" if int(fold) in config.folds else ", not run"
                words.append(f"fold {fold}: {own['cases']} ({tumor['cases']} with tumor){run}")
        base = low - 11 - 8
        tall = LINE * len(words) + 4
        _box(axes, left, base - tall, 57.0, tall, words, colors[name])
        axes.plot([center, center, left + 28.5], [low - 11, base + 4, base + 4], color=style.MUTED, linewidth=0.7)
        _arrow(axes, (left + 28.5, base + 4), (left + 28.5, base))


def _box(
    axes: "Axes",
    left: float,
    low: float,
    width: float,
    height: float,
    lines: Sequence[str],
    color: str,
    left_aligned: bool = False,
) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((left, low), width, height, facecolor="white", edgecolor=color, linewidth=1.1))
    x, align = (left + 2, "left") if left_aligned else (left + width / 2, "center")
    start = low + height / 2 + LINE * (len(lines) - 1) / 2
    for number, line in enumerate(lines):
        weight, size = ("bold", 7.5) if number == 0 else ("normal", 6.5)
        axes.text(x, start - number * LINE, line, ha=align, va="center", fontsize=size, fontweight=weight)


def _arrow(axes: "Axes", start: tuple[float, float], end: tuple[float, float]) -> None:
    look = {"arrowstyle": "-|>,head_width=0.16,head_length=0.3", "color": style.MUTED, "linewidth": 0.7}
    axes.annotate("", end, start, arrowprops=look | {"shrinkA": 0, "shrinkB": 0})


def _words(numbers: pd.DataFrame) -> Caption:
    entered, used = (numbers[numbers["step"] == step].iloc[0] for step in ("entered", "used"))
    text = (
        "Cases from the sources to their purpose. Quarantined: could not be read or failed a check, by code; excluded: read, "
        "but not used, by reason. Folds are made of patients."
    )
    n = f"{count(int(entered['cases']), 'case')} entered, {used['cases']:,} of {count(int(used['patients']), 'patient')} used"
    alternative = (
        f"Flow chart: {entered['cases']} cases entered, {used['cases']} were used; development, pool and external cases."
    )
    return Caption("Participant flow.", text, alternative, n, "case")
