"""What a volume is, whatever its file is called: an exact hash of its voxels, a coarse picture, and landmarks."""

import hashlib
from collections.abc import Sequence

import numpy as np

from freetumor.preprocessing.geometry import Box, apply_along, to_working_axes
from freetumor.preprocessing.landmarks import Landmarks, coarse_grid, decode_landmarks, encode_landmarks, find_landmarks

GRID = 12  # voxels of the coarse picture per axis
TISSUE = (-200, 300)  # HU
SCALE = 32  # steps per standard deviation


def voxel_hash(image: np.ndarray) -> str:
    """SHA-256 of a canonical ``int16`` image: its shape and its voxels, not its header."""
    digest = hashlib.sha256(str(tuple(int(length) for length in image.shape)).encode())
    digest.update(np.ascontiguousarray(image, "<i2"))
    return digest.hexdigest()


def fingerprint(image: np.ndarray, body: Box, spacing: Sequence[float]) -> str:
    """The body as 12 x 12 x 12 mean soft-tissue intensities, standardized, and its landmarks.

    Cropping to the body, averaging and standardizing make the picture insensitive to spacing, noise, padding and HU offsets.
    Measured on 27 public and 24 analytic volumes: a copy with noise of 5 HU, an offset of 10 HU, 1.5 mm voxels or a
    flipped axis correlates at 0.989 or more with its original; two different volumes at 0.946 or less (also among 60
    further analytic ones). A copy cropped by a fifth correlates at 0.80 to 0.87: it is recognized by its landmarks.

    Args:
        image: canonical ``int16`` HU, (z, y, x).
        body: the box that holds its body.
        spacing: mm.

    Returns:
        2 x 12³ hexadecimal digits, which :func:`picture` reads, a space, and what ``landmarks.decode_landmarks`` reads.
    """
    values = np.clip(image[tuple(slice(*side) for side in body)], *TISSUE)
    return f"{encode_picture(values)} {encode_landmarks(find_landmarks(coarse_grid(values, spacing)))}"


def encode_picture(values: np.ndarray) -> str:
    """Values (z, y, x) as 12 x 12 x 12 standardized means, in the hexadecimal text of :func:`fingerprint`."""
    whole = tuple((0, length) for length in values.shape)
    for axis, matrix in enumerate(to_working_axes(whole, (GRID,) * 3, values.shape)):
        values = apply_along(matrix, values, axis)
    values = values - values.mean(dtype=np.float64)
    deviation = values.std()
    levels = np.rint(SCALE * values / deviation) if deviation > 0 else values
    return (np.clip(levels, -127, 127) + 128).astype(np.uint8).tobytes().hex()


def picture(text: str) -> np.ndarray:
    """The coarse picture of a :func:`fingerprint`, ``int16`` around zero, (z, y, x)."""
    return np.frombuffer(bytes.fromhex(text.partition(" ")[0]), np.uint8).reshape((GRID,) * 3).astype(np.int16) - 128


def landmarks(text: str) -> Landmarks:
    """The landmarks of a :func:`fingerprint`; none of one that has only a picture."""
    return decode_landmarks(text.partition(" ")[2])


def correlations(one: np.ndarray, other: np.ndarray) -> Sequence[float]:
    """Correlation of a coarse picture with the eight flips of another, from exact integer sums."""
    one, other = one.astype(np.int64), other.astype(np.int64)
    scale = np.sqrt(float((one * one).sum()) * float((other * other).sum()))
    flips = [other[::z, ::y, ::x] for z in (1, -1) for y in (1, -1) for x in (1, -1)]
    return [float((one * flip).sum()) / scale if scale > 0 else 0.0 for flip in flips]
