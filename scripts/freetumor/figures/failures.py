"""A gallery of failures: the worst cases, and what each arm made of them."""

from pathlib import Path
from typing import TYPE_CHECKING

from freetumor.core.config import Config
from freetumor.evaluation.sheets.archive import Sheet, read_sheet
from freetumor.evaluation.sheets.tables import FAILURE_PICTURES, FAILURE_SHEET
from freetumor.figures import style, volumes
from freetumor.figures.answers import count
from freetumor.figures.fragments import Caption

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDE, HEAD, TEXT = 29.5, 4.0, 5.8  # mm: a picture at most, the names of the arms, two lines of text
LEFT = 1.0
REFERENCE = "#f0e442"


def plot_failures(config: Config, failures: str | Path, output: str | Path) -> None:
    """Draw the cases with the lowest mean score of all arms.

    Args:
        config: the study.
        failures: table of ``evaluation.sheets.tables.FAILURE_SHEET``, with its pictures beside it.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    from matplotlib.figure import Figure

    sheet = read_sheet(failures, FAILURE_SHEET, FAILURE_PICTURES)
    table = sheet.table
    arms, ranks = style.ordered(table["arm"], config.recognition.arms), sorted(set(table["rank"]))
    side = min(SIDE, (style.DOUBLE - LEFT) / (1 + max(1, len(arms))) - 0.8)
    height = HEAD + max(1, len(ranks)) * (side + TEXT + 0.8)
    with style.styled():
        figure = Figure(figsize=(style.DOUBLE / 25.4, height / 25.4))
        if not ranks:
            style.say_empty(figure.add_axes((0, 0, 1, 1)), "no case with a tumor was scored")

        def panel(line: int, column: int, text: str) -> "Axes":
            left, top = LEFT + column * (side + 0.8), HEAD + line * (side + TEXT + 0.8) + TEXT
            if line == 0:
                name = "reference" if column == 0 else style.readable(arms[column - 1])
                figure.text(left / style.DOUBLE, 1 - 2.8 / height, name, fontsize=6.5, fontweight="bold")
            place = left / style.DOUBLE, 1 - (top - 0.7) / height
            figure.text(*place, text, linespacing=1.1, fontsize=style.SMALL, color=style.MUTED)
            return figure.add_axes((left / style.DOUBLE, 1 - (top + side) / height, side / style.DOUBLE, side / height))

        for line, rank in enumerate(ranks):
            rows = table.index[table["rank"] == rank]
            first = table.loc[rows[0]]
            _show(panel(line, 0, f"{first['case_id'][:24]}\nmean of all {first['mean']:.2f}"), config, sheet, rows[0], bar=True)
            for row in rows:
                column = 1 + arms.index(table.at[row, "arm"])
                axes = panel(line, column, f"{style.metric_name(table.at[row, 'metric'])} {table.at[row, 'value']:.2f}")
                _show(axes, config, sheet, row, prediction=True)
        style.save(figure, output, table, _words(config, sheet))


def _show(axes: "Axes", config: Config, sheet: Sheet, row: int, prediction: bool = False, bar: bool = False) -> None:
    spacing = tuple(sheet.table.loc[row, ["spacing_y", "spacing_x"]])
    volumes.show_slice(axes, sheet.pictures["image"][row], spacing, config.working.window)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    side = min(right - left, bottom - top)
    axes.set_xlim((left + right - side) / 2, (left + right + side) / 2)
    axes.set_ylim((bottom + top + side) / 2, (bottom + top - side) / 2)
    volumes.outline(axes, sheet.pictures["reference"][row] > 0, spacing, REFERENCE)
    if prediction:
        volumes.outline(axes, sheet.pictures["prediction"][row] > 0, spacing, style.TUMOR)
    if bar:
        volumes.scale_bar(axes, 20.0)


def _words(config: Config, sheet: Sheet) -> Caption:
    table = sheet.table
    if table.empty:
        return Caption("The worst cases.", "No case with a tumor was scored.", "Empty figure.", "0 cases", "case")
    metric = style.metric_name(table["metric"].iloc[0])
    arms = style.ordered(table["arm"], config.recognition.arms)
    left_out = len(config.recognition.arms) - len(arms)
    others = f" Shown are the first {len(arms)} of {len(config.recognition.arms)} arms." if left_out else ""
    text = (
        f"The test cases with the lowest mean {metric} over all arms and trainings, worst first, in the slice where the "
        "reference tumor is largest. Yellow: reference; red: prediction of the first training of the arm that did not see the "
        f"case, with its {metric}.{others} They show how networks fail, not how often."
    )
    shown = table["rank"].nunique()
    n = f"{count(shown, 'case')}, the worst of {table['cases'].iloc[0]}"
    return Caption(
        "The worst cases.",
        text,
        "Grid of CT slices: rows are cases, columns are arms, with outlines.",
        n,
        "case; chosen by rule",
    )
