"""Crop, resample to the working grid, and back to the native grid. Axis order (z, y, x).

A stored volume covers the native voxels ``[b0, b1)`` of each axis. With native spacing ``s`` and working spacing ``w`` it
has ``M = max(1, round((b1 - b0) s / w))`` voxels, and the center of working voxel ``i`` lies at the native index
``u = b0 + (i + 0.5) (b1 - b0) / M - 0.5``: the outer faces of both grids coincide, and nothing drifts.

All resampling is separable and linear, and one axis is a sparse matrix: plain linear interpolation when a grid is refined;
when it shrinks by ``f``, the mean of that interpolation over ``sqrt(f² - 1)`` voxels, which widens the sampling to that of
the coarse grid and so removes what the coarse grid cannot carry. Both are exact on ramps: nothing is shifted.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage, sparse

from freetumor.core.config import Preset
from freetumor.core.labels import is_tumor

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
SLAB_BYTES = 2**26  # memory of one slab of class probabilities


def find_box(mask: np.ndarray, margin: float, spacing: Sequence[float]) -> Box:
    """Bounding box of a mask, widened by ``margin`` mm inside the array; the whole array if the mask is empty."""
    planes = np.flatnonzero(mask.any(axis=(1, 2)))
    if not len(planes):
        return tuple((0, length) for length in mask.shape)
    shadow = mask[planes[0] : planes[-1] + 1].any(axis=0)
    hits = [planes, np.flatnonzero(shadow.any(axis=1)), np.flatnonzero(shadow.any(axis=0))]
    pads = [int(np.ceil(margin / step - 1e-9)) for step in spacing]
    return tuple(
        (max(0, int(hit[0]) - pad), min(length, int(hit[-1]) + 1 + pad))
        for hit, pad, length in zip(hits, pads, mask.shape, strict=True)
    )


def choose_box(body: np.ndarray, label: np.ndarray, preset: Preset, spacing: Sequence[float]) -> Box:
    """The native voxels to keep: the body, or the labeled structures (the body, if there are none)."""
    keep = label > 0 if preset.crop == "organs" and label.any() else body | (label > 0)
    return find_box(keep, preset.margin, spacing)


def working_shape(box: Box, spacing: Sequence[float], working: Sequence[float]) -> tuple[int, int, int]:
    """Voxels of the working grid per axis."""
    return tuple(
        max(1, round((stop - start) * step / length)) for (start, stop), step, length in zip(box, spacing, working, strict=True)
    )


def working_affine(affine: np.ndarray, box: Box, shape: Sequence[int]) -> np.ndarray:
    """Affine of the working grid: (x, y, z) index to right-anterior-superior mm."""
    to_native = np.eye(4)
    for axis in range(3):
        start, stop = box[2 - axis]
        scale = (stop - start) / shape[2 - axis]
        to_native[axis, axis] = scale
        to_native[axis, 3] = start + 0.5 * scale - 0.5
    return affine @ to_native


def axis_matrix(centers: np.ndarray, length: int, step: float) -> sparse.csr_array:
    """Weights of linear resampling along one axis.

    Args:
        centers: positions of the new samples, in old voxels, shape (m,).
        length: old voxels.
        step: distance of the new samples in old voxels; above one, samples are means.

    Returns:
        A sparse ``float32`` matrix (m, length) whose rows sum to one. Beyond the outermost old centers, the outermost
        values are continued.
    """
    half = np.sqrt(max(0.0, step**2 - 1)) / 2
    reach = int(np.ceil(half)) + 1
    columns = np.floor(centers).astype(int)[:, None] + np.arange(-reach, reach + 2)
    away = centers[:, None] - columns
    weights = np.maximum(0, 1 - np.abs(away))
    if half > 1e-3:
        weights = (_hat_integral(away + half) - _hat_integral(away - half)) / (2 * half)
    rows = np.broadcast_to(np.arange(len(centers))[:, None], columns.shape)
    used = weights > 1e-9
    entries = (weights[used].astype(np.float32), (rows[used], columns.clip(0, length - 1)[used]))
    return sparse.csr_array(entries, shape=(len(centers), length))


def _hat_integral(place: np.ndarray) -> np.ndarray:
    """Integral from below of the hat function, the weight of a voxel in linear interpolation."""
    place = np.clip(place, -1, 1)
    return np.where(place < 0, (1 + place) ** 2 / 2, 1 - (1 - place) ** 2 / 2)


def apply_along(matrix: sparse.csr_array, array: np.ndarray, axis: int) -> np.ndarray:
    """Multiply ``matrix`` to one axis of ``array``."""
    moved = np.moveaxis(array, axis, 0)
    result = matrix @ np.ascontiguousarray(moved).reshape(moved.shape[0], -1)
    return np.moveaxis(result.reshape(matrix.shape[0], *moved.shape[1:]), 0, axis)


def to_working_axes(box: Box, shape: Sequence[int], native_shape: Sequence[int]) -> list[sparse.csr_array]:
    """One matrix per axis, from the native to the working grid."""
    matrices = []
    for (start, stop), count, length in zip(box, shape, native_shape, strict=True):
        step = (stop - start) / count
        matrices.append(axis_matrix(start + (np.arange(count) + 0.5) * step - 0.5, length, step))
    return matrices


def resample_image(image: np.ndarray, box: Box, shape: Sequence[int]) -> np.ndarray:
    """Bring a native image to the working grid.

    Args:
        image: ``int16``, native grid.
        box: native voxels that are kept.
        shape: working voxels, from :func:`working_shape`.

    Returns:
        ``int16`` of ``shape``. Where box and shape keep the native grid, values are unchanged.
    """
    matrices = to_working_axes(box, shape, image.shape)
    near = [slice(int(matrix.indices.min()), int(matrix.indices.max()) + 1) for matrix in matrices]
    result = image[tuple(near)].astype(np.float32)
    order = sorted(range(3), key=lambda axis: shape[axis] / (near[axis].stop - near[axis].start))
    for axis in order:  # the axis that shrinks most goes first
        result = apply_along(matrices[axis][:, near[axis]], result, axis)
    return np.rint(result).astype(np.int16)


def resample_label(label: np.ndarray, box: Box, shape: Sequence[int], names: dict[int, str]) -> tuple[np.ndarray, bool]:
    """Bring a native label to the working grid.

    Each structure is resampled like an image and the largest share wins, which moves no border by more than nearest
    neighbors do and draws smoother ones; ties go to tumors. A lesion too small to win any voxel would vanish (with
    nearest neighbors: by chance), so each such component is kept as the voxels nearest to its own.

    Args:
        label: ``uint8``, native grid.
        box: native voxels that are kept.
        shape: working voxels.
        names: structure of each code.

    Returns:
        ``uint8`` of ``shape``, and whether a lesion was rescued.
    """
    matrices = to_working_axes(box, shape, label.shape)
    result = np.zeros(shape, np.uint8)
    best = np.zeros(shape, np.float32)
    total = np.zeros(shape, np.float32)
    sides = ndimage.find_objects(label)
    codes = [code for code, side in enumerate(sides, 1) if side is not None]
    codes.sort(key=lambda code: (not is_tumor(names[code]), code))
    for code in codes:
        rows = [_rows_reached(matrix, side) for matrix, side in zip(matrices, sides[code - 1], strict=True)]
        if any(row.start >= row.stop for row in rows):
            continue
        share = (label[sides[code - 1]] == code).astype(np.float32)
        for axis in range(3):
            share = apply_along(matrices[axis][rows[axis], sides[code - 1][axis]], share, axis)
        place = tuple(rows)
        wins = share > best[place]
        result[place][wins] = code
        best[place][wins] = share[wins]
        total[place] += share
    result[1 - total > best] = 0
    return result, _rescue_lesions(label, result, box, names)


def _rows_reached(matrix: sparse.csr_array, side: slice) -> slice:
    """The new samples that have weight on the old voxels of ``side``."""
    reached = np.flatnonzero(np.diff(matrix[:, side].indptr))
    return slice(int(reached[0]), int(reached[-1]) + 1) if len(reached) else slice(0, 0)


def _rescue_lesions(label: np.ndarray, result: np.ndarray, box: Box, names: dict[int, str]) -> bool:
    """Put lesions that have no voxel left back into ``result``, in place."""
    rescued = False
    inner = label[tuple(slice(*side) for side in box)]
    scale = np.array([count / (stop - start) for count, (start, stop) in zip(result.shape, box, strict=True)])
    for code in (code for code in np.unique(inner).tolist() if is_tumor(names.get(code, ""))):
        components, _ = ndimage.label(inner == code, np.ones((3, 3, 3)))
        for index, side in enumerate(ndimage.find_objects(components), 1):
            voxels = np.argwhere(components[side] == index) + [part.start for part in side]
            places = np.unique(np.floor((voxels + 0.5) * scale).astype(int), axis=0)
            places = tuple(np.minimum(places, np.array(result.shape) - 1).T)
            if not (result[places] == code).any():
                center = np.argmin(np.square(voxels - voxels.mean(axis=0)).sum(axis=1))
                result[tuple(np.floor((voxels[center] + 0.5) * scale).astype(int))] = code
                rescued = True
    return rescued


def to_native(
    working: np.ndarray, box: Box, native_shape: Sequence[int], added: Sequence[int] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Bring class probabilities or a label back to the native grid.

    Args:
        working: ``float32`` class probabilities (class, z, y, x) with class 0 the background, or an integer label
            (z, y, x).
        box: native voxels that the working grid covers.
        native_shape: voxels of the native grid.
        added: classes whose probabilities are added up.

    Returns:
        ``uint8`` class of the largest interpolated probability, and ``uint8`` probability of the added classes in steps of
        1/255, both of ``native_shape``; background and 0 outside the box. Memory beyond them is bounded by slabs along z.
    """
    is_label = working.ndim == 3
    classes = int(working.max()) + 1 if is_label else working.shape[0]
    matrices = []
    for (start, stop), count in zip(box, working.shape[-3:], strict=True):
        step = count / (stop - start)
        matrices.append(axis_matrix((np.arange(stop - start) + 0.5) * step - 0.5, count, step))
    native, probability = np.zeros((2, *native_shape), np.uint8)
    (z0, z1), (y0, y1), (x0, x1) = box
    depth = max(1, SLAB_BYTES // (4 * classes * (y1 - y0) * (x1 - x0)))
    for start in range(0, z1 - z0, depth):
        rows = matrices[0][start : start + depth]
        near = slice(int(rows.indices.min()), int(rows.indices.max()) + 1)
        block = _one_hot(working[near], classes) if is_label else np.asarray(working[:, near], np.float32)
        block = apply_along(rows[:, near], block, 1)
        block = apply_along(matrices[2], apply_along(matrices[1], block, 2), 3)
        place = slice(z0 + start, z0 + start + block.shape[1]), slice(y0, y1), slice(x0, x1)
        native[place] = block.argmax(axis=0)
        if added:
            probability[place] = np.rint(255 * np.clip(block[list(added)].sum(axis=0), 0, 1))
    return native, probability


def _one_hot(label: np.ndarray, classes: int) -> np.ndarray:
    return (label[None] == np.arange(classes)[:, None, None, None]).astype(np.float32)
