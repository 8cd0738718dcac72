"""Painted volumes as NIfTI pairs. The store has the order of a NIfTI file, so a file is a header and the bytes of the array."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np

from freetumor.core.config import Config
from freetumor.core.files import atomic

from .export import Export, export_volumes
from .export_gzip import SlabGzip
from .export_volume import Item, Parent, Volume

MILLIMETER, SCANNER = "mm", 1  # unit of lengths; what the coordinates refer to
Name = Callable[[Item], tuple[str, str]]


def export_nifti(config: Config, cases: Path, manifest: Path, output: Path) -> None:
    """Write painted volumes as ``<case>_v<variant>_image.nii.gz`` and ``..._label.nii.gz`` beside ``output``.

    Args:
        config: the study.
        cases: the fold table.
        manifest: the manifest of a synthesizer.
        output: table of the volumes written (CSV); images and labels lie in its folder.

    Raises:
        UserError: if the bank holds no accepted lesion.
    """
    export = Export(__file__, config, "NIfTI pairs", cases, manifest, output)
    export_volumes(export, NiftiWriter(lambda item: (f"{item.name}_image.nii.gz", f"{item.name}_label.nii.gz")))


class NiftiWriter:
    """Writes volumes as pairs of ``.nii.gz``; what variants of a case share is compressed once.

    Args:
        name: paths of image and label of an item, relative to the folder of the export.
    """

    def __init__(self, name: Name) -> None:
        self.name = name
        self.parent: Parent | None = None
        self.streams: tuple[SlabGzip, SlabGzip] | None = None

    def __call__(self, folder: Path, item: Item, volume: Volume) -> tuple[str, str]:
        """Write an item; return the paths of its image and its label, relative to ``folder``."""
        if volume.parent is not self.parent:
            self.parent = volume.parent
            self.streams = (SlabGzip(volume.parent.image), SlabGzip(volume.parent.label))
        names = self.name(item)
        text = "synthetic tumors" if item.synthetic else ""
        for name, array, stream in zip(names, (volume.image, volume.label), self.streams, strict=True):
            header = nifti_header(array.shape, array.dtype, volume.parent.affine, text)
            with atomic(folder / name) as temporary, temporary.open("wb") as file:
                file.writelines(stream.compress(header, array))
        return names


def nifti_header(shape: tuple[int, int, int], dtype: np.dtype, affine: np.ndarray, text: str = "") -> bytes:
    """The bytes of a NIfTI-1 file before its voxels.

    Args:
        shape: voxels (z, y, x); in C order they are in the order of the file, x fastest.
        dtype: type of a voxel, little-endian.
        affine: (x, y, z) index to right-anterior-superior mm.
        text: description, at most 79 characters.
    """
    header = nibabel.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape[::-1])
    header.set_qform(affine, SCANNER)
    header.set_sform(affine, SCANNER)
    header.set_xyzt_units(MILLIMETER)
    header.set_slope_inter(1, 0)
    header["vox_offset"], header["magic"], header["descrip"] = 352, b"n+1", text.encode()
    return header.binaryblock + bytes(4)  # no extensions
