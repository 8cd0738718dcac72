"""Gray pictures as slices that the checked reader reads."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from freetumor.core.errors import UserError
from freetumor.core.files import atomic
from freetumor.download.scanner import Grid, Scanner, nifti_bytes

DEPTH = {"uint8": 255, "uint16": 65535}  # white


def convert_picture(path: Path, target: Path, pixel: float, intensity: Sequence[float] | None) -> None:
    """Write a PNG of 8 or 16 bits as a NIfTI slice.

    Args:
        path: the picture; colored ones are accepted if they are gray.
        target: NIfTI file to write; its first row is the picture's first row, toward the front of the body.
        pixel: side of a pixel in mm, also the thickness of the slice.
        intensity: HU that black and white stand for; ``None`` for a mask, of which all but black is inside.

    Raises:
        UserError: if the picture cannot be read, or is colored.
    """
    values = _read_gray(path)
    if intensity is None:
        array = (values > 0).astype(np.uint8)
    else:
        low, high = intensity
        array = np.rint(low + (high - low) * values.astype(np.float64) / DEPTH[values.dtype.name]).astype(np.int16)
    spacing = (pixel, pixel, pixel)
    grid = Grid((1, *values.shape), spacing, np.diag(spacing), np.zeros(3))
    with atomic(target) as temporary:
        temporary.write_bytes(nifti_bytes(array[None], grid, Scanner("picture", spacing, noise=0, correlated=0)))


def _read_gray(path: Path) -> np.ndarray:
    """The gray values (y, x) of a picture, uint8 or uint16."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            if picture.mode in ("1", "P", "LA", "RGB", "RGBA"):
                colors = np.asarray(picture.convert("RGB"))
                if (colors != colors[..., :1]).any():
                    raise UserError(f"{path}: a gray picture is expected, this one is colored")
                values = colors[..., 0]
            else:
                values = np.asarray(picture)
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise UserError(f"{path}: not a readable picture ({' '.join(str(error).split())})") from error
    if values.dtype.kind == "i":  # Pillow gives 16-bit pictures 32 bits in some versions
        values = values.astype(np.uint16)
    if values.ndim != 2 or min(values.shape) < 2 or values.dtype.name not in DEPTH:
        raise UserError(f"{path}: a gray picture of 8 or 16 bits is expected")
    return values
