"""The bank: a synthetic lesion is a patch, its place in the parent volume and a record. Applying one is exact and cheap.

A bank file is one small compressed array (2, z, y, x) int16 of the lesion's bounding box: the painted HU and the label.
Whole volumes are an export.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import blosc2
import numpy as np
import pandas as pd

from freetumor.core.errors import UserError
from freetumor.core.files import atomic, sha256_file

Index = tuple[int, int, int]


@dataclass(frozen=True)
class Lesion:
    """A synthetic lesion as the bank keeps it."""

    image: np.ndarray  # int16 HU (z, y, x): the bounding box after painting
    label: np.ndarray  # bool (z, y, x): voxels of the lesion
    corner: Index  # first voxel of the box in the stored parent volume


def crop_lesion(image: np.ndarray, lesion: np.ndarray, corner: Index) -> Lesion:
    """Cut a painted patch down to its lesion's bounding box."""
    low = [int(index.min()) for index in np.nonzero(lesion)]
    high = [int(index.max()) + 1 for index in np.nonzero(lesion)]
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return Lesion(image[box], lesion[box], tuple(a + c for a, c in zip(low, corner, strict=True)))


def write_lesion(path: Path, lesion: Lesion) -> str:
    """Write a lesion atomically and return the file's SHA-256."""
    array = np.ascontiguousarray(np.stack([lesion.image, lesion.label.astype(np.int16)]))
    data = blosc2.pack_tensor(array, cparams={"codec": blosc2.Codec.ZSTD, "clevel": 5, "nthreads": 1})
    with atomic(path) as temporary:
        temporary.write_bytes(data)
    return sha256_file(path)


def read_lesion(manifest: str | Path, row: pd.Series) -> Lesion:
    """Read the lesion of a manifest row.

    Args:
        manifest: path of the manifest; patch paths are relative to its folder.
        row: an accepted row.

    Raises:
        UserError: if the file is missing or is not the one the manifest speaks of.
    """
    path = Path(manifest).parent / row["patch"]
    if not path.is_file():
        raise UserError(f"{path}: lesion not found; the manifest {manifest} names it")
    if sha256_file(path) != row["patch_sha256"]:
        raise UserError(f"{path}: checksum differs from the manifest {manifest}")
    image, label = blosc2.unpack_tensor(path.read_bytes())
    return Lesion(image, label.astype(bool), tuple(json.loads(row["corner"])))


def apply_lesion(lesion: Lesion, image: np.ndarray, label: np.ndarray, code: int, corner: Index = (0, 0, 0)) -> None:
    """Put a lesion into its parent, in place: only its labeled voxels change.

    Args:
        lesion: the lesion.
        image: the parent, or a patch of it, int16 HU (z, y, x).
        label: its label, uint8.
        code: tumor class to write.
        corner: first voxel of ``image`` in the stored parent volume; parts of the lesion outside are left out.
    """
    low = [max(a, c) for a, c in zip(lesion.corner, corner, strict=True)]
    high = [min(a + n, c + m) for a, n, c, m in zip(lesion.corner, lesion.label.shape, corner, image.shape, strict=True)]
    if any(a >= b for a, b in zip(low, high, strict=True)):
        return
    inner = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, lesion.corner, strict=True))
    outer = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, corner, strict=True))
    where = lesion.label[inner]
    image[outer][where] = lesion.image[inner][where]
    label[outer][where] = code
