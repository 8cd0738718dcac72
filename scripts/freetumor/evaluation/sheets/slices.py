"""Which voxels of stored volumes to show: where files lie, where lesions are.

Arrays are (z, y, x). Lengths are mm, intensities HU.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from freetumor.core.errors import UserError
from freetumor.core.labels import is_tumor
from freetumor.preprocessing.store import open_array

AIR = -1024


def locate(path: str, table: str | Path) -> Path:
    """A file named in ``table``: relative to the working folder, or else to the folder of the table.

    Raises:
        UserError: if it is in neither place.
    """
    for candidate in (Path(path), Path(table).parent / path):
        if candidate.exists():
            return candidate
    raise UserError(f"{table}: names the file {path}, which does not exist")


def code_names(row: Mapping) -> dict[int, str]:
    """Structure name of each code in the stored label of a case."""
    return {int(code): name for code, name in json.loads(row["names"]).items()}


def spacing_of(row: Mapping) -> tuple[float, float, float]:
    """Spacing (z, y, x) in mm of the stored volume of a case."""
    return tuple(json.loads(row["spacing"]))


def tumor_lesions(row: Mapping, table: str | Path) -> np.ndarray:
    """The annotated tumors of a case, shape (n, 8): code, voxels, z0, z1, y0, y1, x0, x1."""
    if not row["sites"]:
        return np.zeros((0, 8), np.int32)
    with np.load(locate(row["sites"], table), allow_pickle=False) as sites:
        lesions = sites["lesions"] if "lesions" in sites else np.zeros((0, 8), np.int32)
    tumors = [code for code, name in code_names(row).items() if is_tumor(name)]
    return lesions[np.isin(lesions[:, 0], tumors)]


def lesion_center(row: Mapping, table: str | Path, lesion: np.ndarray) -> tuple[int, int, int]:
    """Center of mass (z, y, x) of a lesion, from the voxels of its class inside its box; the box may end or exceed it."""
    code, _, *box = (int(number) for number in lesion)
    corner = box[0::2]
    label = open_array(locate(row["label"], table))[tuple(slice(a, b + 1) for a, b in zip(box[0::2], box[1::2], strict=True))]
    return center_of(label == code, corner)


def center_of(mask: np.ndarray, corner: tuple[int, int, int]) -> tuple[int, int, int]:
    """Center of mass of ``mask``, whose first voxel is ``corner``, rounded to a voxel."""
    found = np.argwhere(mask)
    middle = found.mean(0) if len(found) else (np.array(mask.shape) - 1) / 2
    return tuple(round(float(m) + c) for m, c in zip(middle, corner, strict=True))
