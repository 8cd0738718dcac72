"""Where patches and lesions can be placed: sampled voxels of each structure, their depths, and all annotated lesions.

Depths are measured here, once per volume, so that placing a lesion later is a look into a small table.
"""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from freetumor.core.arrays import bounding_box
from freetumor.core.components import connected_components
from freetumor.core.files import atomic
from freetumor.core.labels import is_tumor, tumor_of
from freetumor.core.seeding import generator

MOST_SITES = 2048
VESSEL_SIGMAS, VESSEL_VOXELS = 2.5, 20
LEAF = 64  # points of a leaf of the trees: quickest for some ten thousand points and two thousand questions
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
    box = bounding_box(label)
    if box is None:
        return {"foreground": np.zeros((0, 3), np.int32), "lesions": np.zeros((0, 8), np.int32)}
    inner = label[box]
    corner = _corner(box)
    parts = {names[code]: side for code, side in enumerate(ndimage.find_objects(inner), 1) if side is not None}
    codes = {name: code for code, name in names.items() if name in parts}
    sites = {"foreground": _sample(inner > 0, corner, case_id, "foreground")}
    for name, side in parts.items():
        sites[name] = _sample(inner[side] == codes[name], corner + _corner(side), case_id, name)
    if spacing is not None:
        for organ in [name for name in parts if not is_tumor(name)]:
            side, tumor = _union(parts[organ], parts.get(tumor_of(organ))), codes.get(tumor_of(organ))
            place = _shift(side, corner)
            sums = None if image is None else neighborhood_sums(image, place)
            sites |= _organ_sites(
                inner[side], (codes[organ], tumor), organ, sites[organ], _corner(place), spacing, sums, case_id
            )
    sites["lesions"] = find_lesions(label, names)
    return sites


def _organ_sites(
    label: np.ndarray,
    codes: tuple[int, int | None],
    name: str,
    voxels: np.ndarray,
    corner: np.ndarray,
    spacing: Sequence[float],
    sums: np.ndarray | None,
    case_id: str,
) -> dict[str, np.ndarray]:
    """Distances of the sampled voxels of an organ, and of the organ as if it had no tumors, if it has some.

    What is nearest to a voxel and does not belong to the whole organ touches it, so few points need to be looked at. What
    is nearest and no healthy organ is either such a point or a tumor voxel.
    """
    organ = label == codes[0]
    tumor = None if codes[1] is None else label == codes[1]
    whole = organ if tumor is None else organ | tumor
    border = cKDTree(surroundings(whole) * spacing, leafsize=LEAF, balanced_tree=False)
    places = (voxels - corner) * spacing
    depth = border.query(places)[0]
    if tumor is None:
        return _named(name, depth, places, organ, sums, spacing)
    depth = np.minimum(depth, _distances(np.argwhere(tumor) * spacing, places, float(depth.max())))
    found = _named(name, depth, places, organ, sums, spacing)
    name = f"{name}.whole"
    found[name] = _sample(whole, corner, case_id, name)
    places = (found[name] - corner) * spacing
    return found | _named(name, border.query(places)[0], places, whole, sums, spacing)


def _named(
    name: str, depth: np.ndarray, places: np.ndarray, organ: np.ndarray, sums: np.ndarray | None, spacing: Sequence[float]
) -> dict[str, np.ndarray]:
    """The entries ``depth`` and ``vessel``, mm."""
    found = {f"{name}.depth": depth.astype(np.float32)}
    if sums is not None:
        found[f"{name}.vessel"] = _distances(find_vessels(sums, organ) * spacing, places).astype(np.float32)
    return found


def _distances(points: np.ndarray, places: np.ndarray, most: float = np.inf) -> np.ndarray:
    """From each place to the nearest of the points; infinite if none lies nearer than ``most``."""
    return cKDTree(points, leafsize=LEAF, balanced_tree=False).query(places, distance_upper_bound=most)[0]


def surroundings(mask: np.ndarray) -> np.ndarray:
    """Voxels outside a mask that share a face with it, int (n, 3); beyond the array lies nothing of the mask.

    The voxel outside a mask that is nearest to one inside is always among them: a step from any other toward the inner
    one leads to a voxel that is outside as well, and nearer.
    """
    padded = np.pad(mask, 1)
    near = np.zeros_like(padded)
    for axis in range(3):
        here, there = np.moveaxis(near, axis, 0), np.moveaxis(padded, axis, 0)
        here[1:] |= there[:-1]
        here[:-1] |= there[1:]
    near &= ~padded
    return _voxels(near) - 1


def neighborhood_sums(image: np.ndarray, box: tuple[slice, ...]) -> np.ndarray:
    """Sums of the 3 x 3 x 3 voxels around each voxel of a box, ``int32``; beyond the image, its outermost values continue."""
    index = [np.arange(side.start - 1, side.stop + 1).clip(0, n - 1) for side, n in zip(box, image.shape, strict=True)]
    inside = tuple(slice(int(each[0]), int(each[-1]) + 1) for each in index)
    missing = [(len(each) - part.stop + part.start) for each, part in zip(index, inside, strict=True)]
    sums = image[inside].astype(np.int32)
    if any(missing):
        sums = sums[np.ix_(*(each - part.start for each, part in zip(index, inside, strict=True)))]
    for axis in range(3):
        moved = np.moveaxis(sums, axis, 0)
        total = moved[:-2] + moved[1:-1]
        total += moved[2:]
        sums = np.moveaxis(total, 0, axis)
    return np.ascontiguousarray(sums)


def find_vessels(sums: np.ndarray, organ: np.ndarray) -> np.ndarray:
    """Bright vessels of an organ: connected voxels far above its typical HU.

    A voxel counts if the mean of its 3 x 3 x 3 neighborhood lies more than 2.5 robust standard deviations (1.4826 times the
    median absolute deviation of those means) above the organ's median, and 20 such voxels hang together. In scans without
    contrast agent there are none.

    Args:
        sums: from :func:`neighborhood_sums`, (z, y, x).
        organ: bool, same shape.

    Returns:
        Voxels, int (n, 3).
    """
    values = sums[organ]
    lowest = int(values.min())
    middle = _median(values - lowest) + lowest
    deviation = _median(np.abs(2 * values - int(2 * middle))) / 2
    bright = organ & (sums > middle + VESSEL_SIGMAS * 1.4826 * deviation)
    labels = connected_components(bright)[0][bright]
    return _voxels(bright)[np.bincount(labels)[labels] >= VESSEL_VOXELS]


def _median(values: np.ndarray) -> float:
    """The median of integers from 0, by counting."""
    ends = np.cumsum(np.bincount(values))
    middles = np.searchsorted(ends, [(len(values) - 1) // 2, len(values) // 2], side="right")
    return float(middles.sum()) / 2


def find_lesions(label: np.ndarray, names: Mapping[int, str]) -> np.ndarray:
    """The table ``lesions`` of :func:`find_sites`."""
    rows = []
    for code in sorted(code for code, name in names.items() if is_tumor(name)):
        mask = label == code
        side = bounding_box(mask)
        if side is None:
            continue
        components, _ = connected_components(mask[side])
        counts = np.bincount(components.ravel())
        for index, box in enumerate(ndimage.find_objects(components), 1):
            ends = (int(end) for part in _shift(box, _corner(side)) for end in (part.start, part.stop))
            rows.append([code, int(counts[index]), *ends])
    return np.array(sorted(rows), np.int32).reshape(-1, 8)


def write_sites(path: str | Path, sites: Mapping[str, np.ndarray]) -> None:
    """Write an ``.npz`` archive atomically; its bytes depend on the arrays alone."""
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(sites):
            entry = zipfile.ZipInfo(f"{name}.npy", EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w") as stream:
                np.lib.format.write_array(stream, np.ascontiguousarray(sites[name]), allow_pickle=False)


def _sample(mask: np.ndarray, corner: np.ndarray, case_id: str, structure: str) -> np.ndarray:
    """Up to 2048 voxels of a mask whose first voxel is ``corner``, in raster order."""
    voxels = np.flatnonzero(mask)
    if len(voxels) > MOST_SITES:
        chosen = generator("sites", case_id, structure).choice(len(voxels), MOST_SITES, replace=False)
        voxels = voxels[np.sort(chosen)]
    return (np.stack(np.unravel_index(voxels, mask.shape), axis=1) + corner).astype(np.int32)


def _voxels(mask: np.ndarray) -> np.ndarray:
    """``np.argwhere``, faster."""
    return np.stack(np.unravel_index(np.flatnonzero(mask), mask.shape), axis=1)


def _corner(box: Sequence[slice]) -> np.ndarray:
    """The first voxel of a box."""
    return np.array([side.start for side in box])


def _shift(box: Sequence[slice], corner: np.ndarray) -> tuple[slice, ...]:
    """A box inside another one, as a box of the array that the other one is of."""
    return tuple(slice(side.start + int(start), side.stop + int(start)) for side, start in zip(box, corner, strict=True))


def _union(one: tuple[slice, ...], other: tuple[slice, ...] | None) -> tuple[slice, ...]:
    """The smallest box that holds both."""
    if other is None:
        return one
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
