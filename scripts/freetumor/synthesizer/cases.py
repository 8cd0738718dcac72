"""The cases of a fold, opened for partial reads, and the patches drawn from them.

Axis order is (z, y, x). Images are int16 HU, labels uint8 in the codes of the study (``core.labels``).
"""

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import pandas as pd

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.files import sha256_json
from freetumor.core.labels import class_codes, is_tumor, organ_code, organ_of, tumor_code
from freetumor.preprocessing.sites import find_sites
from freetumor.preprocessing.store import open_array, read_patch

AIR = -1024  # HU outside a volume
OPEN = 1000  # cases of a process that stay open; one takes about half a megabyte
Index = tuple[int, int, int]
_opened_cases: dict[int, "Case"] = {}  # in the order in which they were opened


@dataclass(frozen=True)
class Patch:
    """A patch of a volume and where it comes from."""

    image: np.ndarray  # int16 HU (z, y, x)
    label: np.ndarray  # uint8 study codes (z, y, x)
    corner: Index  # first voxel in the stored volume; may lie outside it
    spacing: tuple[float, float, float]  # mm
    case_id: str
    patient_id: str
    source: str


@dataclass(frozen=True)
class Places:
    """Sampled voxels of an organ to place lesions at (see preprocessing.sites)."""

    voxels: np.ndarray  # int32 (n, 3)
    depth: np.ndarray  # float32 (n,): mm to the border of the healthy organ
    vessel: np.ndarray  # float32 (n,): mm to the nearest vessel; infinite where vessels were not looked for


NOWHERE = Places(np.zeros((0, 3), np.int32), np.zeros(0, np.float32), np.zeros(0, np.float32))


class Sites:
    """The table of sites of a case (see preprocessing.sites); an array is unpacked when it is first asked for.

    Args:
        path: the ``.npz`` archive.

    Raises:
        UserError: if the archive is missing or damaged.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            self._archive = np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise UserError(f"{path}: not readable as a table of sites ({error})") from error
        self._arrays: dict[str, np.ndarray] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._archive.files

    def any(self, name: str) -> bool:
        """Whether there are voxels of a structure."""
        return name in self and len(self[name]) > 0

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._arrays:
            self._arrays[name] = self._archive[name]
        return self._arrays[name]


class Case:
    """One preprocessed volume, opened when it is read; of all cases of a process the last ``OPEN`` that were opened stay open.

    Args:
        row: a row of the fold table.
        organs: organs of the study, in order.
        hide_tumors: read tumor voxels as organ (a pool case: nobody annotated them, or we pretend so).
    """

    def __init__(self, row: pd.Series, organs: Sequence[str], hide_tumors: bool) -> None:
        self.case_id, self.patient_id, self.source = row["case_id"], row["patient_id"], row["source"]
        self.parent_hash = sha256_json([row["voxel_hash"], row["shape"], row["spacing"], row["crop"]])[:16]
        self.paths = {key: row[key] for key in ("image", "label", "native", "sites")}
        self.spacing = tuple(json.loads(row["spacing"]))
        self.shape = tuple(json.loads(row["shape"]))
        self.hide_tumors = hide_tumors
        self.names = {int(code): name for code, name in json.loads(row["names"]).items()}
        codes = class_codes(organs)
        self._table = np.zeros(256, np.uint8)
        for code, name in self.names.items():
            self._table[code] = codes.get(organ_of(name) if hide_tumors else name, 0)
        self._organs = tuple(organs)
        self._places: dict[int, Places] = {}
        self._opened: dict[str, Any] = {}
        sites = Sites(self.paths["sites"])  # not kept: most cases of a large cohort are never drawn from
        self.organs = [organ for organ in organs if sites.any(organ)]
        self.tumors = [] if hide_tumors else [organ for organ in organs if sites.any(f"{organ}_tumor")]

    def __getstate__(self) -> dict[str, Any]:
        """Without what is open: another process opens it anew."""
        return vars(self) | {"_opened": {}, "_places": {}}

    @property
    def image(self) -> blosc2.NDArray:
        """The volume in HU."""
        return self._open("image", open_array)

    @property
    def label(self) -> blosc2.NDArray:
        """The label in the case's own codes."""
        return self._open("label", open_array)

    @property
    def sites(self) -> Sites:
        """Voxels of each structure to place patches at, and ``lesions`` (see preprocessing)."""
        return self._open("sites", Sites)

    def close(self) -> None:
        """Forget what is open; it is opened anew when it is asked for."""
        self._opened.clear()
        self._places.clear()

    def _open(self, name: str, how: Callable[[str], Any]) -> Any:
        if name not in self._opened:
            self._opened[name] = how(self.paths[name])
            _opened_cases[id(self)] = self
            if len(_opened_cases) > OPEN:
                _opened_cases.pop(next(iter(_opened_cases))).close()
        return self._opened[name]

    def places(self, organ: int) -> Places:
        """Sites of organ number ``organ`` of the study's list, with their depths.

        Raises:
            UserError: if the volume was preprocessed before depths were measured.
        """
        if organ not in self._places:
            name = self._organs[organ]
            if self.hide_tumors and f"{name}.whole" in self.sites:
                name = f"{name}.whole"
            if name not in self.sites:
                return NOWHERE
            if f"{name}.depth" not in self.sites:
                raise UserError(f"{self.paths['sites']}: holds no depths of {name}; preprocess the volume again")
            depth = self.sites[f"{name}.depth"]
            known = f"{name}.vessel" in self.sites
            vessel = self.sites[f"{name}.vessel"] if known else np.full(len(depth), np.inf, np.float32)
            self._places[organ] = Places(self.sites[name], depth, vessel)
        return self._places[organ]

    def lesions(self, organ: str) -> np.ndarray:
        """Bounding boxes (n, 6: z0, z1, y0, y1, x0, x1) of the annotated lesions of ``organ``."""
        return self._lesion_rows(organ)[:, 2:]

    def lesion_voxels(self, organ: str) -> np.ndarray:
        """Voxels (n,) of the same lesions."""
        return self._lesion_rows(organ)[:, 1]

    def _lesion_rows(self, organ: str) -> np.ndarray:
        codes = [code for code, name in self.names.items() if is_tumor(name) and organ_of(name) == organ]
        table = self.sites["lesions"]
        return table[np.isin(table[:, 0], codes)]

    def read_label(self) -> np.ndarray:
        """The whole label in study codes."""
        return self._table[self.label[...]]

    def patch(self, corner: Index, size: Index) -> Patch:
        """The patch of ``size`` voxels whose first voxel is ``corner``."""
        image = read_patch(self.image, corner, size, AIR)
        label = self._table[read_patch(self.label, corner, size, 0)]
        return Patch(image, label, corner, self.spacing, self.case_id, self.patient_id, self.source)

    def patch_around(self, center: np.ndarray, size: Index, rng: np.random.Generator) -> Patch:
        """A patch that holds ``center`` within its middle half."""
        offset = [int(rng.integers(length // 4, length - length // 4)) for length in size]
        return self.patch(tuple(int(c) - o for c, o in zip(center, offset, strict=True)), size)

    def random_site(self, structure: str, rng: np.random.Generator) -> np.ndarray:
        """A random voxel of ``structure``."""
        voxels = self.sites[structure]
        return voxels[rng.integers(len(voxels))]


class ArrayCase:
    """A canvas in memory: what :meth:`TumorSynthesizer.make` asks of a case.

    Args:
        image: int16 HU (z, y, x).
        label: uint8 codes of a study with these organs, same shape.
        spacing: mm per voxel.
        organs: organs of the study, in order.
        key: of the sample of places.
    """

    def __init__(
        self, image: np.ndarray, label: np.ndarray, spacing: Sequence[float], organs: Sequence[str], key: str = "array"
    ) -> None:
        self.image, self.label, self.spacing, self.shape, self.case_id = image, label, tuple(spacing), image.shape, key
        self._organs = tuple(organs)
        names = {code: name for name, code in class_codes(organs).items()}
        self._sites = find_sites(label, names, key, self.spacing, image)

    def places(self, organ: int) -> Places:
        """Sites of organ number ``organ``, with their depths."""
        name = self._organs[organ]
        if name not in self._sites:
            return NOWHERE
        return Places(self._sites[name], self._sites[f"{name}.depth"], self._sites[f"{name}.vessel"])

    def patch(self, corner: Index, size: Index) -> Patch:
        """The patch of ``size`` voxels whose first voxel is ``corner``."""
        image, label = read_patch(self.image, corner, size, AIR), read_patch(self.label, corner, size, 0)
        return Patch(image, label, corner, self.spacing, self.case_id, "", "")


def open_cases(table: pd.DataFrame, config: Config, *parts: str) -> list[Case]:
    """Open the cases of the given parts of a fold table, sorted by id. Pool cases hide their tumors."""
    chosen = table[table["part"].isin(parts)].sort_values("case_id")
    return [Case(row, config.organs, hide_tumors=row["part"] == "pool") for _, row in chosen.iterrows()]


def training_patch(case: Case, size: Index, rng: np.random.Generator) -> Patch:
    """A patch for supervised training: around a tumor (1/2), an organ (1/4) or anywhere (1/4), where all exist."""
    choice = rng.random()
    if case.tumors and choice < 1 / 2:
        center = case.random_site(f"{case.tumors[rng.integers(len(case.tumors))]}_tumor", rng)
    elif case.organs and choice < 3 / 4:
        center = case.random_site(case.organs[rng.integers(len(case.organs))], rng)
    else:
        center = np.array([rng.integers(length) for length in case.shape])
    return case.patch_around(center, size, rng)


def tumor_patch(case: Case, size: Index, rng: np.random.Generator) -> Patch:
    """A patch around an annotated tumor if the case has one, else around an organ."""
    structures = [f"{organ}_tumor" for organ in case.tumors] or case.organs
    return case.patch_around(case.random_site(structures[rng.integers(len(structures))], rng), size, rng)


def lesion_in(patch: Patch, organ: int, box: np.ndarray) -> np.ndarray:
    """The annotated tumor of an organ within a box (z0, z1, y0, y1, x0, x1) of the stored volume: bool, as the patch."""
    inside = np.zeros(patch.label.shape, bool)
    sides = zip(box[::2], box[1::2], patch.corner, strict=True)
    inside[tuple(slice(max(int(a - c), 0), max(int(b - c), 0)) for a, b, c in sides)] = True
    return inside & tumor_mask(patch.label, organ)


def organ_mask(label: np.ndarray, index: int) -> np.ndarray:
    """Healthy voxels of the organ at position ``index`` of the study's list."""
    return label == organ_code(index)


def tumor_mask(label: np.ndarray, index: int | None = None) -> np.ndarray:
    """Tumor voxels of one organ, or of all."""
    return (label > 0) & (label % 2 == 0) if index is None else label == tumor_code(index)
