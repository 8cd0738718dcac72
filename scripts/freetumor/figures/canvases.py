"""Lesions painted into any preprocessed volumes by synthesizers that need no training: overview, before and after.

No fold, no annotated tumor and no network is needed, an organ mask is enough.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.labels import organ_code
from freetumor.core.seeding import generator
from freetumor.core.tables import VOLUMES, read_table
from freetumor.figures import style, volumes
from freetumor.preprocessing.store import read_patch
from freetumor.synthesis.bank import apply_lesion, crop_lesion
from freetumor.synthesizer.assembly import ACCEPTED, TumorSynthesizer, assemble
from freetumor.synthesizer.cases import Case

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SOFT_WINDOW, LUNG_WINDOW = (-110.0, 190.0), (-1350.0, 150.0)  # HU
AERATED = -300.0  # HU; organs below are shown in the lung window
VIEWS = ("overview", "before", "after")
PAIRS = 2  # lesions beside each other
TRIALS = 4  # draws per lesion wanted: some patches hold too little of the organ
ORGAN = style.ORGANS[0]


@dataclass(frozen=True)
class Painted:
    """A lesion in its canvas: the axial slice through it, and what was measured in the whole patch."""

    case_id: str
    organ: str
    before: np.ndarray  # int16 HU (y, x), the whole slice
    after: np.ndarray
    host: np.ndarray  # bool (y, x), the organ
    lesion: np.ndarray  # bool (y, x)
    spacing: tuple[float, float, float]  # mm (z, y, x)
    numbers: Mapping[str, float]


def plot_canvases(config: Config, tables: Sequence[Path], output: Path) -> None:
    """Paint into every organ of every case with the synthesizer that has the organ's name, and draw the result.

    Args:
        config: the study. ``synthesis.lesions_per_case`` lesions are painted per case and organ.
        tables: tables of ``core.tables.VOLUMES``.
        output: path of the PNG; PDF and CSV (the lesions, with what was measured) are written beside it.

    Raises:
        UserError: if no organ has a synthesizer of its name, one needs training, or no canvas offers a place.
    """
    painters = own_synthesizers(config)
    cases = [case for table in tables for case in open_volumes(config, table)]
    painted = [item for organ in painters for case in cases for item in paint(config, painters[organ], organ, case)]
    if not painted:
        raise UserError(f"{output}: no canvas offers a place for a lesion in {', '.join(painters)}")
    with style.styled():
        style.save(draw(painted), output, canvas_numbers(painted))


def own_synthesizers(config: Config) -> dict[str, TumorSynthesizer]:
    """The synthesizers that are named like an organ of the study."""
    import torch

    names = [organ for organ in config.organs if organ in config.synthesizers]
    if not names:
        raise UserError(f"synthesizers: none is named like an organ of the study ({', '.join(config.organs)})")
    return {name: assemble(name, config, [], torch.device("cpu")) for name in names}


def open_volumes(config: Config, table: Path) -> list[Case]:
    """The cases of a table of volumes, sorted by id; their paths may be relative to the table."""
    rows = read_table(table, VOLUMES).sort_values("case_id")
    for column in ("image", "label", "sites"):
        rows[column] = [str(volumes.locate(path, table)) for path in rows[column]]
    return [Case(row, config.organs, hide_tumors=not row["labeled"]) for _, row in rows.iterrows()]


def paint(config: Config, synthesizer: TumorSynthesizer, organ: str, case: Case) -> Iterator[Painted]:
    """The first lesions that find a place in an organ of a case; none if the case does not have the organ."""
    wanted = config.synthesis.lesions_per_case if organ in case.organs else 0
    for number in range(TRIALS * wanted):
        painted = paint_once(config, synthesizer, organ, case, number)
        if painted is not None and wanted:
            wanted -= 1
            yield painted


def paint_once(config: Config, synthesizer: TumorSynthesizer, organ: str, case: Case, number: int) -> Painted | None:
    """Draw number ``number`` in a case; None if the patch drawn offers no place."""
    rng = generator(config.seed, "canvases", organ, case.case_id, number)
    patch = case.patch_around(case.random_site(organ, rng), config.working.patch, rng)
    index = config.organs.index(organ)
    made = synthesizer.make(patch, index, rng)
    if made.outcome != ACCEPTED:
        return None
    lesion = crop_lesion(made.image, made.lesion, patch.corner)
    corner = (lesion.corner[0] + int(lesion.label.sum(axis=(1, 2)).argmax()), 0, 0)
    size = (1, *case.shape[1:])
    before = read_patch(case.image, corner, size, volumes.AIR)
    after, mask = before.copy(), np.zeros(size, np.uint8)
    apply_lesion(lesion, after, mask, 1, corner)
    host = case.patch(corner, size).label[0] == organ_code(index)
    numbers = measure(patch.image, made.image, made.lesion, case.spacing)
    return Painted(case.case_id, organ, before[0], after[0], host, mask[0] == 1, case.spacing, numbers)


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


def canvas_numbers(painted: Sequence[Painted]) -> "pd.DataFrame":
    """The lesions shown, in order, with what was measured: ``organ case_id diameter_mm hu_before ...``."""
    import pandas as pd

    return pd.DataFrame([{"organ": item.organ, "case_id": item.case_id, **item.numbers} for item in painted])


class Page:
    """Square pictures of one size at places counted in mm: two lesions beside each other, three pictures each."""

    GAP, PAIR_GAP, TEXT = 0.7, 3.0, 4.0
    SIDE = (style.DOUBLE - 1 - PAIRS * (len(VIEWS) - 1) * GAP - (PAIRS - 1) * PAIR_GAP) / (PAIRS * len(VIEWS))

    def __init__(self, lesions: int) -> None:
        from matplotlib.figure import Figure

        rows = -(-lesions // PAIRS)
        self.height = rows * (self.SIDE + self.TEXT) + self.GAP
        self.figure = Figure(figsize=(style.DOUBLE / 25.4, self.height / 25.4))

    def axes(self, lesion: int, view: int) -> "Axes":
        """The place of a picture."""
        row, pair = divmod(lesion, PAIRS)
        left = 0.5 + pair * (len(VIEWS) * self.SIDE + (len(VIEWS) - 1) * self.GAP + self.PAIR_GAP) + view * (self.SIDE + self.GAP)
        low = self.height - (row + 1) * (self.SIDE + self.TEXT)
        return self.figure.add_axes(
            (left / style.DOUBLE, low / self.height, self.SIDE / style.DOUBLE, self.SIDE / self.height)
        )


def draw(painted: Sequence[Painted]) -> "Figure":
    """All lesions: the slice with organ (blue) and lesion (red), and its surroundings before and after."""
    page = Page(len(painted))
    for number, item in enumerate(painted):
        aerated = np.median(item.before[item.host]) < AERATED
        limits = LUNG_WINDOW if aerated else SOFT_WINDOW
        center = np.argwhere(item.lesion).mean(axis=0) + 0.5
        middle = [c * step for c, step in zip(center, item.spacing[1:], strict=True)]
        field = float(np.clip(2.6 * item.numbers["diameter_mm"], 60, 100))
        for view, name in enumerate(VIEWS):
            axes = page.axes(number, view)
            volumes.show_slice(axes, item.before if name == "before" else item.after, item.spacing, limits)
            axes.images[0].set_interpolation("bilinear")
            if name == "overview":
                volumes.outline(axes, item.host, item.spacing, ORGAN, 0.5)
                volumes.outline(axes, item.lesion, item.spacing, style.TUMOR, 0.7)
                _frame(axes, [n * step / 2 for n, step in zip(item.before.shape, item.spacing[1:], strict=True)], 0.0)
            else:
                _frame(axes, middle, field)
                volumes.scale_bar(axes, 20.0)
        text = f"{style.readable(item.organ)}, {item.numbers['diameter_mm']:.0f} mm, "
        text += f"{item.numbers['hu_before']:.0f} → {item.numbers['hu_after']:.0f} HU"
        page.axes(number, 0)
    return page.figure
