"""A sheet of images: per category real ones, and below them those of each synthesizer, in the same window."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freetumor.core.config import Config
from freetumor.core.seeding import generator
from freetumor.core.tables import FOLD_CASES, MANIFEST, read_table
from freetumor.figures import style
from freetumor.synthesis.bank import read_image
from freetumor.synthesizer.regions import open_regions, plain
from freetumor.synthesizer.synthetic import ACCEPTED

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 10  # columns
REAL = "real"


@dataclass(frozen=True)
class Row:
    """A row of the sheet: images in HU (n, n) of one category and kind, and where they come from."""

    category: str
    kind: str
    names: list[str]
    images: list[np.ndarray]


def plot_samples(config: Config, cases: str | Path, manifests: Sequence[str | Path], output: str | Path) -> None:
    """Draw random real and synthetic images of each category.

    Args:
        config: the study.
        cases: a fold table; real images are drawn from its training cases, which the generators have learned from.
        manifests: tables of ``core.tables.MANIFEST`` of synthesizers of whole images, of the same fold.
        output: path of the PNG; PDF and CSV (which image is where) are written beside it.
    """
    rows = sample_rows(config, cases, manifests)
    with style.styled():
        side = style.DOUBLE / (EXAMPLES + 1.4)
        figure = style.new_figure(style.DOUBLE, max(20.0, side * (1.06 * len(rows) + 0.5 * len(config.categories))))
        _draw_rows(figure, config, rows)
        style.save(figure, output, sheet_numbers(rows))


def sample_rows(config: Config, cases: str | Path, manifests: Sequence[str | Path]) -> list[Row]:
    """The rows of the sheet: random images, in an order that belongs to the study's seed."""
    regions = open_regions(read_table(cases, FOLD_CASES), config, "train")
    tables = {}
    for path in manifests:
        table = read_table(path, MANIFEST)
        for name, part in table[table["outcome"] == ACCEPTED].groupby("synthesizer"):
            tables[str(name)] = (Path(path), part)
    rows = []
    for index, category in enumerate(config.categories):
        real = {region.case_id: region for region in regions if region.category == index}
        chosen = _choose(config, category, REAL, real)
        rows.append(Row(category, REAL, chosen, [plain(real[name], config) for name in chosen]))
        for kind in style.ordered(tables, [*config.banks, *config.synthesizers]):
            path, table = tables[kind]
            made = table[table["organ"] == category].set_index("lesion_id", drop=False)
            chosen = _choose(config, category, kind, made.index)
            rows.append(Row(category, kind, chosen, [read_image(path, made.loc[name]) for name in chosen]))
    return rows


def sheet_numbers(rows: Sequence[Row]) -> "pd.DataFrame":
    """Which image is where, with its mean and standard deviation in HU."""
    import pandas as pd

    table = [
        (row.category, row.kind, column, name, float(image.mean()), float(image.std()))
        for row in rows
        for column, (name, image) in enumerate(zip(row.names, row.images, strict=True))
    ]
    return pd.DataFrame(table, columns=["category", "kind", "column", "image", "mean_hu", "sd_hu"])


def _choose(config: Config, category: str, kind: str, names: Sequence[str]) -> list[str]:
    names = sorted(map(str, names))
    rng = generator(config.seed, "figures", "samples", category, kind)
    return [names[place] for place in rng.permutation(len(names))[:EXAMPLES]]


def _draw_rows(figure: object, config: Config, rows: Sequence[Row]) -> None:
    """One block per category with a title, one row per kind in it."""
    blocks = [[row for row in rows if row.category == category] for category in config.categories]
    parts = figure.subfigures(len(blocks), 1, squeeze=False)[:, 0]
    for part, block, letter in zip(parts, blocks, "abcdefghijklmnop", strict=False):
        panels = part.subplots(len(block), EXAMPLES, squeeze=False, gridspec_kw={"wspace": 0.02, "hspace": 0.02})
        for line, row in zip(panels, block, strict=True):
            for axes in line:
                axes.set_axis_off()
            for axes, image in zip(line, row.images, strict=False):
                low, high = config.working.window
                axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
            if not row.images:
                style.say_empty(line[0], "none")
            label = style.readable(row.kind)
            color = style.INK if row.kind == REAL else style.MUTED
            line[0].annotate(label, (0, 0.5), (-4, 0), "axes fraction", "offset points", ha="right", va="center", color=color)
        style.title(panels[0, 0], letter, style.readable(block[0].category))
