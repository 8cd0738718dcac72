"""NIfTI files without words: every text of the header and every extension is blanked, geometry and voxels stay as they are.

Programs copy the header of a scan into what they derive from it, and hospitals write names into it.
"""

import gzip
import zlib
from pathlib import Path

from freetumor.core.files import atomic

TEXTS = ("data_type", "db_name", "descrip", "aux_file", "intent_name")


def copy_without_texts(source: Path, target: Path) -> None:
    """Read a ``.nii.gz`` file to its end and write it to ``target`` atomically, without its texts and extensions.

    The bytes written depend on geometry and voxels alone.

    Raises:
        ValueError: in a few words, if it is damaged or no NIfTI file.
    """
    try:
        with gzip.open(source) as stream:
            data = bytearray(stream.read())
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError("its gzip stream is damaged") from error
    blank_texts(data)
    with atomic(target) as temporary:
        temporary.write_bytes(gzip.compress(data, 4, mtime=0))  # no name and no time in the gzip header either


def blank_texts(data: bytearray) -> None:
    """Overwrite the texts and extensions of an uncompressed NIfTI file by zeros, in place.

    Raises:
        ValueError: in a few words, if it is no NIfTI file.
    """
    import nibabel

    kinds = {348: nibabel.Nifti1Header, 540: nibabel.Nifti2Header}
    order = next((order for order in ("little", "big") if int.from_bytes(data[:4], order) in kinds), None)
    if order is None:
        raise ValueError("it is no NIfTI file")
    size = int.from_bytes(data[:4], order)
    if len(data) < size + 4:
        raise ValueError("it ends inside its header")
    header = kinds[size](bytes(data[:size]), endianness="<" if order == "little" else ">", check=False)
    fields = header.template_dtype.fields
    for name in TEXTS:
        if name in fields:
            kind, start = fields[name][:2]
            data[start : start + kind.itemsize] = bytes(kind.itemsize)
    offset = float(header["vox_offset"])
    if not size + 4 <= offset <= len(data):
        raise ValueError("its voxels begin outside of it")
    data[size : int(offset)] = bytes(int(offset) - size)
