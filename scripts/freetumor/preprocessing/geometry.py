"""Crop, resample to the working grid, and back to the native grid. Axis order (z, y, x).

A stored volume covers the native voxels ``[b0, b1)`` of each axis. With native spacing ``s`` and working spacing ``w`` it
has ``M = max(1, round((b1 - b0) s / w))`` voxels, and the center of working voxel ``i`` lies at the native index
``u = b0 + (i + 0.5) (b1 - b0) / M - 0.5``: the outer faces of both grids coincide, and nothing drifts.

All resampling is separable and linear, and one axis is a sparse matrix: plain linear interpolation when a grid is refined;
when it shrinks by ``f``, the mean of that interpolation over ``sqrt(f² - 1)`` voxels, which widens the sampling to that of
the coarse grid and so removes what the coarse grid cannot carry. Both are exact on ramps: nothing is shifted.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage, sparse

from freetumor.core.arrays import bounding_box
from freetumor.core.components import connected_components
from freetumor.core.config import Preset
from freetumor.core.labels import is_tumor

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
SLAB_BYTES = 2**26  # memory of one slab of class probabilities
BLOCK_BYTES = 2**20  # of an array that is resampled at a time: it and its transpose stay in the processor's cache


def find_box(mask: np.ndarray, margin: float, spacing: Sequence[float]) -> Box:
    """Bounding box of a mask or label, widened by ``margin`` mm inside the array; the whole array if the mask is empty."""
    box = bounding_box(mask)
    if box is None:
        return tuple((0, length) for length in mask.shape)
    return _widen([(side.start, side.stop) for side in box], margin, spacing, mask.shape)


def choose_box(body: Box, label: np.ndarray, preset: Preset, spacing: Sequence[float]) -> Box:
    """The native voxels to keep: the box of the body and of what is labeled, or of the labeled structures, if there are any."""
    labeled = bounding_box(label)
    if labeled is None:
        sides = body
    elif preset.crop == "organs":
        sides = [(part.start, part.stop) for part in labeled]
    else:
        sides = [(min(low, part.start), max(high, part.stop)) for (low, high), part in zip(body, labeled, strict=True)]
    return _widen(sides, preset.margin, spacing, label.shape)


def _widen(sides: Sequence[tuple[int, int]], margin: float, spacing: Sequence[float], shape: Sequence[int]) -> Box:
    """A box with ``margin`` mm more on each side, inside the array."""
    pads = [int(np.ceil(margin / step - 1e-9)) for step in spacing]
    return tuple(
        (max(0, low - pad), min(length, high + pad)) for (low, high), pad, length in zip(sides, pads, shape, strict=True)
    )


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
    """Multiply ``matrix`` to one axis of ``array``, of two or more axes; ``float32``."""
    return apply_all([(axis, matrix)], array)


def apply_all(steps: Sequence[tuple[int, sparse.csr_array]], array: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """Multiply a matrix to each of some axes, in the order given, block by block along an axis that is not among them.

    Args:
        steps: axis and matrix.
        array: has at least one axis more than there are steps.
        dtype: of the result; integers are rounded.
    """
    split = next(axis for axis in range(array.ndim) if axis not in dict(steps))
    matrices = dict(steps)
    shape = [matrices[axis].shape[0] if axis in matrices else length for axis, length in enumerate(array.shape)]
    result = np.empty(shape, dtype)
    step = max(1, BLOCK_BYTES * array.shape[split] // (4 * array.size))
    for start in range(0, array.shape[split], step):
        part = (slice(None),) * split + (slice(start, start + step),)
        block = array[part]
        for axis, matrix in steps:
            moved = np.moveaxis(block, axis, 0)
            flat = np.ascontiguousarray(moved, np.float32).reshape(moved.shape[0], -1)
            block = np.moveaxis((matrix @ flat).reshape(-1, *moved.shape[1:]), 0, axis)
        result[part] = block if result.dtype.kind == "f" else np.rint(block)
    return result


def _passes(steps: list[tuple[int, sparse.csr_array]]) -> list[list[tuple[int, sparse.csr_array]]]:
    """Steps that follow each other along y and x are done in one pass, plane by plane."""
    axes = [axis for axis, _ in steps]
    if {1, 2} <= set(axes) and abs(axes.index(1) - axes.index(2)) == 1:
        first = min(axes.index(1), axes.index(2))
        return [[step] for step in steps[:first]] + [steps[first : first + 2]] + [[step] for step in steps[first + 2 :]]
    return [[step] for step in steps]


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
    if _keeps_grid(box, shape):
        return np.ascontiguousarray(image[tuple(slice(*side) for side in box)])
    matrices = to_working_axes(box, shape, image.shape)
    near = [slice(int(matrix.indices.min()), int(matrix.indices.max()) + 1) for matrix in matrices]
    result = image[tuple(near)]
    order = sorted(range(3), key=lambda axis: shape[axis] / (near[axis].stop - near[axis].start))
    changed = [axis for axis in order if box[axis][1] - box[axis][0] != shape[axis]]  # what shrinks most goes first
    *passes, last = _passes([(axis, matrices[axis][:, near[axis]]) for axis in changed])
    for steps in passes:
        result = apply_all(steps, result)
    return apply_all(last, result, np.int16)


def _keeps_grid(box: Box, shape: Sequence[int]) -> bool:
    """Whether the working grid is a part of the native one."""
    return all(stop - start == count for (start, stop), count in zip(box, shape, strict=True))


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
    if _keeps_grid(box, shape):
        return np.ascontiguousarray(label[tuple(slice(*side) for side in box)]), False
    sides = _boxes(label)
    matrices = to_working_axes(box, shape, label.shape)
    result = np.zeros(shape, np.uint8)
    best = np.zeros(shape, np.float32)
    total = np.zeros(shape, np.float32)
    places = []
    for code in sorted(sides, key=lambda code: (not is_tumor(names[code]), code)):
        rows = [_rows_reached(matrix, side) for matrix, side in zip(matrices, sides[code], strict=True)]
        if any(row.start >= row.stop for row in rows):
            continue
        kept = tuple(  # along axes that keep their grid there is nothing to resample
            slice(row.start + low, row.stop + low) if high - low == count else side
            for row, side, (low, high), count in zip(rows, sides[code], box, shape, strict=True)
        )
        share = label[kept] == code
        changed = [axis for axis in range(3) if box[axis][1] - box[axis][0] != shape[axis]]
        for steps in _passes([(axis, matrices[axis][rows[axis], kept[axis]]) for axis in changed]):
            share = apply_all(steps, share)
        place = tuple(rows)
        wins = share > best[place]
        np.copyto(result[place], np.uint8(code), where=wins)
        np.copyto(best[place], share, where=wins)
        total[place] += share
        places.append(place)
    for place in places:
        result[place] *= 1 - total[place] <= best[place]
    tumors = {code: side for code, side in sides.items() if is_tumor(names[code])}
    return result, _rescue_lesions(label, result, box, tumors)


def _boxes(label: np.ndarray) -> dict[int, tuple[slice, ...]]:
    """The box of each code that is present."""
    whole = bounding_box(label)
    if whole is None:
        return {}
    return {
        code: tuple(slice(outer.start + side.start, outer.start + side.stop) for outer, side in zip(whole, sides, strict=True))
        for code, sides in enumerate(ndimage.find_objects(label[whole]), 1)
        if sides is not None
    }


def _rows_reached(matrix: sparse.csr_array, side: slice) -> slice:
    """The new samples that have weight on the old voxels of ``side``."""
    reached = np.flatnonzero(np.diff(matrix[:, side].indptr))
    return slice(int(reached[0]), int(reached[-1]) + 1) if len(reached) else slice(0, 0)


def _rescue_lesions(label: np.ndarray, result: np.ndarray, box: Box, tumors: Mapping[int, tuple[slice, ...]]) -> bool:
    """Put lesions that have no voxel left back into ``result``, in place."""
    rescued = False
    for code, side in tumors.items():
        part = tuple(slice(max(s.start, low), min(s.stop, high)) for s, (low, high) in zip(side, box, strict=True))
        if any(s.start >= s.stop for s in part):
            continue
        components, count = connected_components(label[part] == code)
        nearest = [
            np.minimum(np.floor((np.arange(s.start, s.stop) - low + 0.5) * (n / (high - low))).astype(int), n - 1)
            for s, (low, high), n in zip(part, box, result.shape, strict=True)
        ]
        kept = np.zeros(count + 1, bool)
        kept[components[result[np.ix_(*nearest)] == code]] = True
        corner = [s.start - low for s, (low, _) in zip(part, box, strict=True)]
        for index in np.flatnonzero(~kept[1:]) + 1:
            voxels = np.argwhere(components == index)
            shifted = voxels + corner
            center = voxels[np.argmin(np.square(shifted - shifted.mean(axis=0)).sum(axis=1))]
            result[tuple(places[i] for places, i in zip(nearest, center, strict=True))] = code
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
