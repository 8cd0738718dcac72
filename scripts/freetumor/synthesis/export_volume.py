"""The volumes of an export: labeled cases as they are, and painted variants of canvases, one parent in memory at a time.

All volumes are on the working grid, the one that the bank was painted on. Axis order is (z, y, x).
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.files import sha256_file
from freetumor.core.labels import class_codes, class_names, tumor_of
from freetumor.synthesizer.cases import Case

from .bank import apply_lesion, read_lesion

REAL = -1  # variant of a case as it is


@dataclass(frozen=True)
class Item:
    """A volume to export: a real case, or one painted variant of a canvas."""

    name: str  # unique within the export; names its files
    case_id: str  # of the case, or of the parent
    part: str  # of the fold
    variant: int  # REAL, or the number of the painted version
    lesions: pd.DataFrame  # accepted rows of the manifest that are painted

    @property
    def synthetic(self) -> bool:
        """Whether the volume is painted."""
        return self.variant != REAL

    @property
    def lesion_ids(self) -> list[str]:
        """Painted lesions, in order."""
        return self.lesions["lesion_id"].tolist()


class Parent:
    """The case that volumes are made from; its arrays are read once and never written to.

    Args:
        row: a row of the fold table.
        config: the study.
    """

    def __init__(self, row: pd.Series, config: Config) -> None:
        self.case = Case(row, config.organs, hide_tumors=row["part"] == "pool")
        self.affine = np.array(json.loads(row["affine"]))  # (x, y, z) index to right-anterior-superior mm
        named = set(self.case.names.values())
        self.unannotated = [name for name in class_names(config.organs)[1:] if name not in named]

    @cached_property
    def image(self) -> np.ndarray:
        """int16 HU."""
        return _frozen(self.case.image[...])

    @cached_property
    def label(self) -> np.ndarray:
        """uint8, study codes."""
        return _frozen(self.case.read_label())

    @cached_property
    def content(self) -> list[str]:
        """Hashes of the stored arrays."""
        return [sha256_file(self.case.paths[kind]) for kind in ("image", "label")]


@dataclass(frozen=True)
class Volume:
    """Arrays of an item, and the parent that they were made from."""

    image: np.ndarray  # int16 HU
    label: np.ndarray  # uint8, study codes
    parent: Parent


def make_volume(config: Config, parent: Parent, manifest: Path, item: Item) -> Volume:
    """The volume of an item: the parent itself, or a copy with the item's lesions painted in."""
    if not item.synthetic:
        return Volume(parent.image, parent.label, parent)
    codes = class_codes(config.organs)
    image, label = parent.image.copy(), parent.label.copy()
    for _, row in item.lesions.iterrows():
        apply_lesion(read_lesion(manifest, row), image, label, codes[tumor_of(row["organ"])])
    return Volume(image, label, parent)


def plan_items(config: Config, table: pd.DataFrame, rows: pd.DataFrame, real: bool) -> list[Item]:
    """The volumes of an export, sorted by case; a case stands before its painted variants.

    Args:
        config: the study; ``synthesis.export_cases`` and ``export_variants`` limit what is painted.
        table: the fold table, indexed by case.
        rows: accepted rows of a manifest, whose parents are in the table.
        real: whether the labeled cases of the training side join.

    Raises:
        UserError: if two volumes would have one name.
    """
    items = []
    if real and config.synthesis.export_real:
        chosen = table[table["labeled"] & table["part"].isin(["train", "validation"])]
        items += [Item(case_id, case_id, part, REAL, rows.iloc[:0]) for case_id, part in chosen["part"].items()]
    for case_id in sorted(rows["case_id"].unique())[: config.synthesis.export_cases]:
        variants = list(rows[rows["case_id"] == case_id].groupby("variant"))[: config.synthesis.export_variants]
        for variant, lesions in variants:
            items.append(Item(f"{case_id}_v{variant}", case_id, table.loc[case_id, "part"], int(variant), lesions))
    items.sort(key=lambda item: (item.case_id, item.variant))
    names = Counter(item.name for item in items)
    for name, count in names.items():
        if count > 1:
            raise UserError(f"two exported volumes would be called '{name}'; rename the case of this name")
    return items


def by_parent(items: list[Item]) -> Iterator[tuple[str, list[Item]]]:
    """Items of each case; they are sorted by it."""
    for case_id, group in groupby(items, key=lambda item: item.case_id):
        yield case_id, list(group)


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
