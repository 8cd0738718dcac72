"""The volume store: chunked, compressed arrays of which a patch can be read without reading the volume.

One blosc2 ``.b2nd`` file per array, zstd with byte shuffle, as nnU-Net does. Axis order is (z, y, x) throughout.
"""

from pathlib import Path

import blosc2
import numpy as np

from freetumor.core.errors import UserError
from freetumor.core.files import atomic

CHUNK = 64  # voxels per chunk and axis
BLOCK = 16  # voxels per block and axis: what a partial read decompresses at least


def write_array(path: str | Path, array: np.ndarray) -> None:
    """Write a 3-D array to ``path`` atomically. The bytes depend on the array alone."""
    array = np.ascontiguousarray(array)
    chunks = tuple(min(CHUNK, length) for length in array.shape)
    blocks = tuple(min(BLOCK, length) for length in chunks)
    cparams = {"codec": blosc2.Codec.ZSTD, "clevel": 3, "nthreads": 1}
    with atomic(path) as temporary:
        stored = blosc2.empty(
            array.shape, array.dtype, chunks=chunks, blocks=blocks, cparams=cparams, urlpath=str(temporary), mode="w"
        )
        # What `stored[...] = array` calls, which besides looks for the folders of all arrays that the process ever wrote. The
        # same bytes as from blosc2.asarray, which takes twice as long, chunk by chunk.
        super(blosc2.NDArray, stored).set_slice(((0,) * array.ndim, array.shape), array)


def open_array(path: str | Path) -> blosc2.NDArray:
    """Open an array for partial reads: ``array.shape``, ``array[z0:z1, y0:y1, x0:x1]``.

    Raises:
        UserError: if the file is missing or damaged.
    """
    try:
        return blosc2.open(str(path), mode="r", dparams={"nthreads": 1})
    except (RuntimeError, FileNotFoundError, OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable array of the volume store ({error})") from error


def read_array(path: str | Path) -> np.ndarray:
    """Read a whole array."""
    return open_array(path)[...]


def read_patch(
    array: blosc2.NDArray | np.ndarray, corner: tuple[int, int, int], size: tuple[int, int, int], fill: int
) -> np.ndarray:
    """Read the patch of ``size`` voxels that starts at ``corner``; voxels outside the array are ``fill``.

    Args:
        array: an opened array, or one in memory.
        corner: first voxel (z, y, x); may be negative.
        size: voxels per axis.
        fill: value outside the array (air is -1024 HU).

    Returns:
        A new array of shape ``size`` and the dtype of ``array``.
    """
    low = [max(start, 0) for start in corner]
    high = [min(start + length, bound) for start, length, bound in zip(corner, size, array.shape, strict=True)]
    if any(a >= b for a, b in zip(low, high, strict=True)):
        return np.full(size, fill, array.dtype)
    part = _read_box(array, low, high)
    if part.shape == tuple(size):
        return part
    patch = np.full(size, fill, array.dtype)
    patch[tuple(slice(a - start, b - start) for a, b, start in zip(low, high, corner, strict=True))] = part
    return patch


def _read_box(array: blosc2.NDArray | np.ndarray, low: list[int], high: list[int]) -> np.ndarray:
    """A copy of a box; of a stored array without the general indexing around the read, which takes longer than a small read."""
    if isinstance(array, np.ndarray):
        return array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].copy()
    out = np.empty([b - a for a, b in zip(low, high, strict=True)], array.dtype)
    return array.get_slice_numpy(out, (low, high))
