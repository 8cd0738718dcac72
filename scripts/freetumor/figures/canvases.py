"""Lesions painted into any preprocessed volumes by synthesizers that need no training: overview, before and after.

No fold, no annotated tumor and no network is needed, an organ mask is enough.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.labels import organ_code
from freetumor.core.seeding import generator
from freetumor.core.tables import VOLUMES, read_table
from freetumor.evaluation.sheets.slices import AIR, locate
from freetumor.figures import style, volumes
from freetumor.figures.answers import count
from freetumor.figures.fragments import Caption
from freetumor.preprocessing.store import read_patch
from freetumor.synthesis.bank import apply_lesion, crop_lesion
from freetumor.synthesizer.assembly import assemble
from freetumor.synthesizer.cases import Case
from freetumor.synthesizer.tumor import TumorSynthesizer

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SOFT_WINDOW, LUNG_WINDOW = (-110.0, 190.0), (-1350.0, 150.0)  # HU
BODY = -300.0  # HU
AERATED = -300.0  # HU; organs below are shown in the lung window
VIEWS = 3  # overview, before, after
PER_LINE = 2  # lesions beside each other
FIELD, FIELD_RATIO = (64.0, 112.0), 2.8  # the close views in mm, and in lesion diameters
TRIALS = 8  # draws per case: some patches hold too little of the organ
RESOLUTION = 130  # dots per inch; noise does not compress


@dataclass(frozen=True)
class Painted:
    """A lesion in its canvas: the axial slice through it, and what was measured in the whole patch."""

    case_id: str
    synthesizer: str
    organ: str
    before: np.ndarray  # int16 HU (y, x), the whole slice
    after: np.ndarray
    host: np.ndarray  # bool (y, x), the organ
    lesion: np.ndarray  # bool (y, x)
    spacing: tuple[float, float, float]  # mm (z, y, x)
    numbers: Mapping[str, float]


def plot_canvases(config: Config, tables: Sequence[Path], output: Path) -> None:
    """Paint into each organ with the synthesizers that have its name (``liver``, ``liver_grown``), and draw the result.

    Args:
        config: the study.
        tables: tables of ``core.tables.VOLUMES``.
        output: path of the PNG; PDF, CSV (the lesions, with what was measured) and caption are written beside it.

    Raises:
        UserError: if no organ has a synthesizer of its name, one needs training, or no canvas offers a place.
    """
    from matplotlib import rc_context

    cases = [case for table in tables for case in open_volumes(config, table)]
    painters = own_synthesizers(config)
    painted = [item for name, painter in painters.items() for item in paint(config, painter, name, cases)]
    if not painted:
        raise UserError(f"{output}: no canvas offers a place for a lesion in {', '.join(painters)}")
    with style.styled(), rc_context({"savefig.dpi": RESOLUTION}):
        style.save(draw(painted), output, canvas_numbers(painted), _words(painted))


def own_synthesizers(config: Config) -> dict[str, TumorSynthesizer]:
    """The synthesizers that are named like an organ of the study, perhaps with more after an underscore; by organ."""
    import torch

    names = [name for organ in config.organs for name in config.synthesizers if organ_named(config, name) == organ]
    if not names:
        raise UserError(f"synthesizers: none is named like an organ of the study ({', '.join(config.organs)})")
    return {name: assemble(name, config, [], torch.device("cpu")) for name in names}


def organ_named(config: Config, synthesizer: str) -> str | None:
    """The organ that the name of a synthesizer begins with; of several the longest."""
    return max((organ for organ in config.organs if f"{synthesizer}_".startswith(f"{organ}_")), key=len, default=None)


def open_volumes(config: Config, table: Path) -> list[Case]:
    """The cases of a table of volumes, sorted by id; their paths may be relative to the table."""
    rows = read_table(table, VOLUMES).sort_values("case_id")
    for column in ("image", "label", "sites"):
        rows[column] = [str(locate(path, table)) for path in rows[column]]
    return [Case(row, config.organs, hide_tumors=not row["labeled"]) for _, row in rows.iterrows()]


def paint(config: Config, synthesizer: TumorSynthesizer, name: str, cases: Sequence[Case]) -> list[Painted]:
    """One line of the page: lesions of one synthesizer, in the cases that have its organ in turn; none if no case has it."""
    hosts = [case for case in cases if organ_named(config, name) in case.organs]
    drawn = (paint_once(config, synthesizer, name, case, number) for number in range(TRIALS) for case in hosts)
    return list(itertools.islice((item for item in drawn if item is not None), PER_LINE))


def paint_once(config: Config, synthesizer: TumorSynthesizer, name: str, case: Case, number: int) -> Painted | None:
    """Draw number ``number`` in a case; None if the patch drawn offers no place."""
    organ = organ_named(config, name)
    rng = generator(config.seed, "canvases", name, case.case_id, number)
    index = config.organs.index(organ)
    made = synthesizer.make(case, index, rng)
    if not made.accepted:
        return None
    lesion = crop_lesion(made.canvas.image, made.image, made.lesion, made.canvas.corner)
    corner = (lesion.corner[0] + int(lesion.label.sum(axis=(1, 2)).argmax()), 0, 0)
    size = (1, *case.shape[1:])
    before = read_patch(case.image, corner, size, AIR)
    after, mask = before.copy(), np.zeros(size, np.uint8)
    apply_lesion(lesion, after, mask, 1, corner)
    host = case.patch(corner, size).label[0] == organ_code(index)
    numbers = measure(made.canvas.image, made.image, made.lesion, case.spacing)
    return Painted(case.case_id, name, organ, before[0], after[0], host, mask[0] == 1, case.spacing, numbers)


def measure(before: np.ndarray, after: np.ndarray, lesion: np.ndarray, spacing: Sequence[float]) -> dict[str, float]:
    """What painting did to a patch.

    Args:
        before: HU (z, y, x).
        after: HU, same shape.
        lesion: the label, bool, same shape, not empty.
        spacing: mm.

    Returns:
        ``diameter_mm`` of the ball of equal volume, mean HU of the label ``hu_before`` and ``hu_after``, and the number of
        voxels ``changed_outside`` the label and ``unchanged_inside``.
    """
    changed = before != after
    return {
        "diameter_mm": float((6 * lesion.sum() * np.prod(spacing) / np.pi) ** (1 / 3)),
        "hu_before": float(before[lesion].mean()),
        "hu_after": float(after[lesion].mean()),
        "changed_outside": int((changed & ~lesion).sum()),
        "unchanged_inside": int((~changed & lesion).sum()),
    }


def _words(painted: Sequence[Painted]) -> Caption:
    text = (
        "Left: the slice, with organ (blue) and lesion (red). Middle and right: the surroundings before and after painting. "
        "Synthesizers are those that are named like an organ and need no training."
    )
    alternative = "Axial CT slices before and after a lesion is painted."
    return Caption("Lesions painted without training.", text, alternative, count(len(painted), "synthetic lesion"), "lesion")


def canvas_numbers(painted: Sequence[Painted]) -> "pd.DataFrame":
    """The lesions shown, in order, with what was measured: ``synthesizer organ case_id diameter_mm ...``."""
    import pandas as pd

    return pd.DataFrame(
        [{"synthesizer": item.synthesizer, "organ": item.organ, "case_id": item.case_id, **item.numbers} for item in painted]
    )


class Page:
    """Square pictures of one size at places counted in mm: two lesions beside each other, three pictures each."""

    GAP, GROUP_GAP, TEXT = 0.7, 2.4, 4.0
    GROUP = (style.DOUBLE - 1 - (PER_LINE - 1) * GROUP_GAP) / PER_LINE
    SIDE = (GROUP - (VIEWS - 1) * GAP) / VIEWS

    def __init__(self, lesions: int) -> None:
        from matplotlib.figure import Figure

        self.height = -(-lesions // PER_LINE) * (self.SIDE + self.TEXT) + self.GAP
        self.figure = Figure(figsize=(style.DOUBLE / 25.4, self.height / 25.4))

    def axes(self, lesion: int, view: int, text: str) -> "Axes":
        """The axes of picture number ``view`` of a lesion, below a line of text."""
        line, place = divmod(lesion, PER_LINE)
        left = (0.5 + place * (self.GROUP + self.GROUP_GAP) + view * (self.SIDE + self.GAP)) / style.DOUBLE
        top = 1 - (line * (self.SIDE + self.TEXT) + self.TEXT) / self.height
        self.figure.text(left, top + 0.9 / self.height, text, va="baseline", fontsize=6.5)
        side = self.SIDE / style.DOUBLE, self.SIDE / self.height
        return self.figure.add_axes((left, top - side[1], *side))


def draw(painted: Sequence[Painted]) -> "Figure":
    """All lesions: the slice with organ (blue) and lesion (red), and the surroundings before and after."""
    page = Page(len(painted))
    for number, item in enumerate(painted):
        limits = LUNG_WINDOW if np.median(item.before[item.host]) < AERATED else SOFT_WINDOW
        described = f"{style.readable(item.synthesizer)}, {item.numbers['diameter_mm']:.0f} mm"
        overview = page.axes(number, 0, described)
        _show(overview, item.after, item, limits, item.before > BODY, 1.0)
        volumes.outline(overview, item.host, item.spacing, style.ORGANS[0], 0.5)
        volumes.outline(overview, item.lesion, item.spacing, style.TUMOR, 0.6)
        field = np.clip(FIELD_RATIO * item.numbers["diameter_mm"], *FIELD)
        for view, text in ((1, "before"), (2, "after")):
            axes = page.axes(number, view, text)
            _show(axes, item.before if view == 1 else item.after, item, limits, item.lesion, field)
            volumes.scale_bar(axes, 20.0)
    return page.figure


def _show(
    axes: "Axes", image: np.ndarray, item: Painted, limits: tuple[float, float], region: np.ndarray, least: float
) -> None:
    """Show the square around ``region``, of at least ``least`` mm."""
    volumes.show_slice(axes, image, item.spacing, limits)
    axes.images[0].set_interpolation("bicubic")  # as viewers do
    axes.patch.set(visible=True, facecolor=str(np.clip((AIR - limits[0]) / (limits[1] - limits[0]), 0, 1)))
    axes.set_axis_on()
    ends = np.stack([np.argwhere(region).min(axis=0), np.argwhere(region).max(axis=0) + 1]) * item.spacing[1:]
    half = max(float(np.ptp(ends, axis=0).max()), least) / 2
    y, x = ends.mean(axis=0)
    axes.set(xlim=(x - half, x + half), ylim=(y + half, y - half))
