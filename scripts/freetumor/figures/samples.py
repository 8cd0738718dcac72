"""A sheet of images: per category real ones, and below them those of each synthesizer, in the same window."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from freetumor.core.config import Config
from freetumor.evaluation.sheets.archive import Sheet, read_sheet
from freetumor.evaluation.sheets.tables import EXAMPLES, REAL, SAMPLE_PICTURES, SAMPLE_SHEET
from freetumor.figures import style
from freetumor.figures.answers import count
from freetumor.figures.captions import Facts, caption


def plot_samples(config: Config, samples: str | Path, output: str | Path) -> None:
    """Draw random real and synthetic images of each category.

    Args:
        config: the study.
        samples: table of ``evaluation.sheets.tables.SAMPLE_SHEET``, with its pictures beside it.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    sheet = read_sheet(samples, SAMPLE_SHEET, SAMPLE_PICTURES)
    kinds = [REAL, *style.ordered([*config.banks, *set(sheet.table["kind"]).difference([REAL])], config.synthesizers)]
    with style.styled():
        side, rows = style.DOUBLE / (EXAMPLES + 1.4), len(kinds) * len(config.categories)
        figure = style.new_figure(style.DOUBLE, max(20.0, side * (1.06 * rows + 0.5 * len(config.categories))))
        _draw_rows(figure, config, sheet, kinds)
        real = int((sheet.table["kind"] == REAL).sum())
        n = f"{count(real, 'real image')}, {count(len(sheet.table) - real, 'synthetic image')}"
        style.save(figure, output, sheet.table, caption("samples", Facts(config, n=n)))


def _draw_rows(figure: object, config: Config, sheet: Sheet, kinds: Sequence[str]) -> None:
    """One block per category with a title, one row per kind in it."""
    parts = figure.subfigures(len(config.categories), 1, squeeze=False)[:, 0]
    for part, category, letter in zip(parts, config.categories, "abcdefghijklmnop", strict=False):
        panels = part.subplots(len(kinds), EXAMPLES, squeeze=False, gridspec_kw={"wspace": 0.02, "hspace": 0.02})
        for line, kind in zip(panels, kinds, strict=True):
            for axes in line:
                axes.set_axis_off()
            here = np.flatnonzero((sheet.table["category"] == category) & (sheet.table["kind"] == kind))
            for axes, row in zip(line, here, strict=False):
                low, high = config.working.window
                axes.imshow(sheet.pictures["image"][row], cmap="gray", vmin=low, vmax=high, interpolation="nearest")
            if not len(here):
                style.say_empty(line[0], "none")
            color = style.INK if kind == REAL else style.MUTED
            where = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "right", "va": "center"}
            line[0].annotate(style.readable(kind), (0, 0.5), (-4, 0), color=color, **where)
        style.title(panels[0, 0], letter, style.readable(category))
