"""Real tumors and painted lesions to show beside each other, chosen by rule: organs in turn, sizes from small to large."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from freetumor.core.config import Config
from freetumor.core.labels import organ_of
from freetumor.core.tables import FOLD_CASES, MANIFEST, make_table, read_table
from freetumor.preprocessing.store import open_array, read_patch
from freetumor.synthesis.bank import apply_lesion, read_lesion

from .archive import Sheet, write_sheet
from .slices import AIR, center_of, code_names, lesion_center, locate, spacing_of, tumor_lesions
from .tables import LESION_PICTURES, LESION_SHEET, PER_LINE, REAL, REAL_SHOWN, lines_of


@dataclass(frozen=True)
class Example:
    """A lesion to show: what it is, and how to read its slices."""

    group: str  # "real" or the synthesizer
    case_id: str
    lesion_id: str
    organ: str
    diameter_mm: float
    read: Callable[[float], "Views"]


@dataclass(frozen=True)
class Views:
    """Axial slices (y, x) through a lesion: int16 HU without it (real: the image) and with it, and its mask, bool."""

    before: np.ndarray
    after: np.ndarray
    mask: np.ndarray
    spacing: tuple[float, float, float]


def collect_lesions(config: Config, cases: Path, manifests: Sequence[Path], output: Path) -> None:
    """Choose real tumors of the training part and accepted lesions of each bank, and keep their slices.

    Args:
        config: the study.
        cases: table of ``core.tables.FOLD_CASES`` of the fold the manifests belong to.
        manifests: tables of ``core.tables.MANIFEST``.
        output: table of :data:`LESION_SHEET`; its pictures :data:`LESION_PICTURES` are written beside it.
    """
    table = read_table(cases, FOLD_CASES)
    parents = {row["case_id"]: row for row in table.to_dict("records")}
    found = synthetic_examples(parents, cases, manifests)
    chosen = spread_over(real_examples(table, cases), REAL_SHOWN)
    for name in sorted(found):
        chosen = [*chosen, *spread_over(found[name], lines_of(len(config.banks)) * PER_LINE)]
    field = field_of_view(chosen)
    views = [example.read(field) for example in chosen]
    rows = [
        {"group": example.group, "lesion_id": example.lesion_id, "case_id": example.case_id, "organ": example.organ}
        | {"diameter_mm": example.diameter_mm, "field_mm": field}
        | {"spacing_y": view.spacing[1], "spacing_x": view.spacing[2]}
        for example, view in zip(chosen, views, strict=True)
    ]
    pictures = {name: [getattr(view, name) for view in views] for name in LESION_PICTURES}
    write_sheet(output, Sheet(make_table(rows, LESION_SHEET), pictures), LESION_SHEET)


def real_examples(table: pd.DataFrame, path: str | Path) -> list[Example]:
    """All annotated tumors of the labeled training cases."""
    chosen = table[(table["part"] == "train") & table["labeled"] & (table["tumors"] != "")]
    examples = []
    for row in chosen.sort_values("case_id").to_dict("records"):
        names, voxel = code_names(row), float(np.prod(spacing_of(row)))
        for number, lesion in enumerate(tumor_lesions(row, path)):
            diameter = (6 * int(lesion[1]) * voxel / np.pi) ** (1 / 3)  # of the ball of equal volume
            name = f"{row['case_id']}.real{number}"
            read = partial(read_real, row, path, lesion)
            examples.append(Example(REAL, row["case_id"], name, organ_of(names[int(lesion[0])]), diameter, read))
    return examples


def synthetic_examples(
    parents: Mapping[str, Mapping], cases: str | Path, manifests: Sequence[str | Path]
) -> dict[str, list[Example]]:
    """All accepted lesions of the banks, by synthesizer."""
    found: dict[str, list[Example]] = {}
    for manifest in manifests:
        for row in read_table(manifest, MANIFEST).to_dict("records"):
            group = found.setdefault(row["synthesizer"], [])
            if row["outcome"] == "accepted" and row["patch"] and row["case_id"] in parents:
                read = partial(read_synthetic, parents[row["case_id"]], cases, row, manifest)
                group.append(
                    Example(row["synthesizer"], row["case_id"], row["lesion_id"], row["organ"], row["diameter_mm"], read)
                )
    return found


def spread_over(examples: Sequence[Example], count: int) -> list[Example]:
    """Choose ``count`` examples by rule: organs in turn, sizes evenly from small to large, in order of size."""
    organs = sorted({example.organ for example in examples})
    chosen = []
    pools = {organ: sorted((e for e in examples if e.organ == organ), key=_by_size) for organ in organs}
    quota = dict.fromkeys(organs, 0)
    while sum(quota.values()) < min(count, len(examples)):
        for organ in organs:
            if quota[organ] < len(pools[organ]) and sum(quota.values()) < count:
                quota[organ] += 1
    for organ in organs:
        places = (np.arange(quota[organ]) + 0.5) / max(quota[organ], 1) * len(pools[organ])
        chosen += [pools[organ][int(place)] for place in places]
    return sorted(chosen, key=_by_size)


def _by_size(example: Example) -> tuple[float, str]:
    return example.diameter_mm, example.lesion_id


def field_of_view(examples: Sequence[Example]) -> float:
    """Side of all pictures in mm: the largest lesion and its surroundings, in steps of 8 mm."""
    largest = max((example.diameter_mm for example in examples), default=0.0)
    return float(np.clip(8 * np.ceil(1.5 * largest / 8), 48, 112))


def read_real(row: Mapping, table: str | Path, lesion: np.ndarray, field: float) -> Views:
    """Slices of ``field`` mm through the center of a real tumor."""
    spacing = spacing_of(row)
    corner, size = _window(lesion_center(row, table, lesion), spacing, field)
    image = read_patch(open_array(locate(row["image"], table)), corner, size, AIR)[0]
    label = read_patch(open_array(locate(row["label"], table)), corner, size, 0)[0]
    return Views(image, image, label == lesion[0], spacing)


def read_synthetic(parent: Mapping, table: str | Path, row: Mapping, manifest: str | Path, field: float) -> Views:
    """Slices of ``field`` mm through the center of a lesion of the bank, before and after painting."""
    lesion = read_lesion(manifest, row)
    spacing = spacing_of(parent)
    corner, size = _window(center_of(lesion.label, lesion.corner), spacing, field)
    before = read_patch(open_array(locate(parent["image"], table)), corner, size, AIR)
    after, mask = before.copy(), np.zeros(size, np.uint8)
    apply_lesion(lesion, after, mask, 1, corner)
    return Views(before[0], after[0], mask[0] == 1, spacing)


def _window(
    center: tuple[int, int, int], spacing: tuple[float, float, float], field: float
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Corner and size of one axial slice around ``center``: the odd number of voxels that covers ``field`` mm."""
    height, width = (2 * int(np.ceil(field / 2 / step)) + 1 for step in spacing[1:])
    return (center[0], center[1] - height // 2, center[2] - width // 2), (1, height, width)
