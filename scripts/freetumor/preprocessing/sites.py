"""Where patches can be placed: sampled voxels of each structure, and the boxes of all annotated lesions."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import cc3d
import numpy as np

from freetumor.core.files import atomic
from freetumor.core.labels import is_tumor
from freetumor.core.seeding import generator

MOST_SITES = 2048
EPOCH = (1980, 1, 1, 0, 0, 0)  # the least date of a zip entry; a real one would make the bytes depend on the time


def find_sites(label: np.ndarray, names: Mapping[int, str], case_id: str) -> dict[str, np.ndarray]:
    """Sample the voxels of each structure of a case, and list its lesions.

    Args:
        label: ``uint8``, working grid (z, y, x).
        names: structure of each code.
        case_id: the key of the draws, with the name of the structure.

    Returns:
        Per structure that is present, and for ``foreground`` (any structure), ``int32`` voxels (n, 3) with n up to 2048,
        in raster order. ``lesions`` is ``int32`` (n, 8): code, voxels, z0, z1, y0, y1, x0, x1 of each 26-connected
        component of a tumor class, sorted.
    """
    foreground = np.flatnonzero(label)
    codes = label.ravel()[foreground]
    grouped = foreground[np.argsort(codes, kind="stable")]  # by code, within a code in raster order
    ends = np.cumsum(np.bincount(codes, minlength=256))
    sites = {"foreground": _sample(foreground, label.shape, case_id, "foreground")}
    for code in np.unique(codes).tolist():
        sites[names[code]] = _sample(grouped[ends[code - 1] : ends[code]], label.shape, case_id, names[code])
    sites["lesions"] = find_lesions(label, names)
    return sites


def find_lesions(label: np.ndarray, names: Mapping[int, str]) -> np.ndarray:
    """The table ``lesions`` of :func:`find_sites`."""
    tumors = np.zeros(256, np.uint8)
    for code, name in names.items():
        tumors[code] = code if is_tumor(name) else 0
    only = tumors[label]
    components, count = cc3d.connected_components(only, connectivity=26, return_N=True)
    if count == 0:
        return np.zeros((0, 8), np.int32)
    statistics = cc3d.statistics(components)
    rows = []
    for index in range(1, count + 1):
        box = statistics["bounding_boxes"][index]
        part = components[box] == index
        code = int(only[box][part][0])
        rows.append([code, int(part.sum()), *(int(end) for side in box for end in (side.start, side.stop))])
    return np.array(sorted(rows), np.int32)


def write_sites(path: str | Path, sites: Mapping[str, np.ndarray]) -> None:
    """Write an ``.npz`` archive atomically; its bytes depend on the arrays alone."""
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(sites):
            entry = zipfile.ZipInfo(f"{name}.npy", EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w") as stream:
                np.lib.format.write_array(stream, np.ascontiguousarray(sites[name]), allow_pickle=False)


def _sample(voxels: np.ndarray, shape: tuple[int, ...], case_id: str, structure: str) -> np.ndarray:
    if len(voxels) > MOST_SITES:
        chosen = generator("sites", case_id, structure).choice(len(voxels), MOST_SITES, replace=False)
        voxels = voxels[np.sort(chosen)]
    return np.stack(np.unravel_index(voxels, shape), axis=1).astype(np.int32)
