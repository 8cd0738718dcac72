"""Where patches and lesions can be placed: sampled voxels of each structure, their depths, and all annotated lesions.

Depths are measured here, once per volume, so that placing a lesion later is a look into a small table.
"""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import cc3d
import edt
import numpy as np
from scipy.ndimage import uniform_filter

from freetumor.core.arrays import bounding_box
from freetumor.core.components import connected_components
from freetumor.core.files import atomic
from freetumor.core.labels import is_tumor, tumor_of
from freetumor.core.seeding import generator

MOST_SITES = 2048
VESSEL_SIGMAS, VESSEL_VOXELS = 2.5, 20
EPOCH = (1980, 1, 1, 0, 0, 0)  # the least date of a zip entry; a real one would make the bytes depend on the time


def find_sites(
    label: np.ndarray,
    names: Mapping[int, str],
    case_id: str,
    spacing: Sequence[float] | None = None,
    image: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Sample the voxels of each structure of a case, and list its lesions.

    Args:
        label: ``uint8``, working grid (z, y, x).
        names: structure of each code.
        case_id: the key of the draws, with the name of the structure.
        spacing: mm per voxel; without it no depths are measured.
        image: HU, same grid; without it no vessels are looked for.

    Returns:
        Per structure that is present, and for ``foreground`` (any structure), ``int32`` voxels (n, 3) with n up to 2048,
        in raster order. ``lesions`` is ``int32`` (n, 8): code, voxels, z0, z1, y0, y1, x0, x1 of each 26-connected
        component of a tumor class, sorted. With ``spacing``, for the voxels of each organ: ``<organ>.depth``, ``float32`` mm
        to the nearest voxel that is not healthy organ, or to the volume's border; and ``<organ>.vessel``, mm to the nearest
        bright vessel within the organ. Where tumors of the organ are annotated, ``<organ>.whole`` with the same two is the
        organ as if they were not: for cases whose annotation is hidden.
    """
    foreground = np.flatnonzero(label)
    codes = label.ravel()[foreground]
    grouped = foreground[np.argsort(codes, kind="stable")]  # by code, within a code in raster order
    ends = np.cumsum(np.bincount(codes, minlength=256))
    sites = {"foreground": _sample(foreground, label.shape, case_id, "foreground")}
    for code in np.unique(codes).tolist():
        sites[names[code]] = _sample(grouped[ends[code - 1] : ends[code]], label.shape, case_id, names[code])
    if spacing is not None:
        present = {names[code]: code for code in np.unique(codes).tolist()}
        for organ in [name for name in present if not is_tumor(name)]:
            sites |= _depths(label == present[organ], organ, sites[organ], spacing, image)
            if tumor_of(organ) in present:
                whole = (label == present[organ]) | (label == present[tumor_of(organ)])
                name = f"{organ}.whole"
                sites[name] = _sample(np.flatnonzero(whole), label.shape, case_id, name)
                sites |= _depths(whole, name, sites[name], spacing, image)
    sites["lesions"] = find_lesions(label, names)
    return sites


def _depths(
    organ: np.ndarray, name: str, voxels: np.ndarray, spacing: Sequence[float], image: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Distances of the sampled voxels to the organ's border and to its vessels, in mm."""
    box = bounding_box(organ)
    inside = np.ascontiguousarray(organ[box])
    where = tuple((voxels - [side.start for side in box]).T)
    depth = edt.edt(inside, anisotropy=tuple(spacing), black_border=True, parallel=1)
    found = {f"{name}.depth": depth[where].astype(np.float32)}
    if image is not None:
        free = inside & ~find_vessels(image[box], inside)
        distance = edt.edt(free | ~inside, anisotropy=tuple(spacing), black_border=False, parallel=1)
        found[f"{name}.vessel"] = distance[where].astype(np.float32)
    return found


def find_vessels(image: np.ndarray, organ: np.ndarray) -> np.ndarray:
    """Bright vessels of an organ: connected voxels far above its typical HU.

    A voxel counts if the mean of its 3 x 3 x 3 neighborhood lies more than 2.5 robust standard deviations (1.4826 times the
    median absolute deviation of those means) above the organ's median, and 20 such voxels hang together. In scans without
    contrast agent there are none.

    Args:
        image: HU (z, y, x).
        organ: bool, same shape.
    """
    smooth = uniform_filter(image.astype(np.float32), 3)
    values = smooth[organ]
    middle = float(np.median(values))
    bright = organ & (smooth > middle + VESSEL_SIGMAS * 1.4826 * float(np.median(np.abs(values - middle))))
    return cc3d.dust(bright, threshold=VESSEL_VOXELS, connectivity=26) if bright.any() else bright


def find_lesions(label: np.ndarray, names: Mapping[int, str]) -> np.ndarray:
    """The table ``lesions`` of :func:`find_sites`."""
    tumors = np.zeros(256, np.uint8)
    for code, name in names.items():
        tumors[code] = code if is_tumor(name) else 0
    only = tumors[label]
    components, count = connected_components(only)
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
