"""The bank: a synthetic lesion is a patch, its place in the parent volume and a record. Applying one is exact and cheap.

All lesions of a parent lie in one pack: a header with their records, then one compressed block per lesion: the change in HU in
its bounding box, int16 (z, y, x), and the label, one bit per voxel, unless it is just what changed. Manifest rows say where in
which pack a lesion lies. A block also knows a checksum of the parent's voxels that it changes, and is never applied to others.
Whole volumes are an export.
"""

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import blosc2
import numpy as np
import pandas as pd

from freetumor.core.arrays import bounding_box
from freetumor.core.errors import UserError
from freetumor.core.files import atomic
from freetumor.core.tables import MANIFEST, read_table
from freetumor.synthesizer.cases import AIR, Case
from freetumor.synthesizer.synthetic import ACCEPTED, Index

MAGIC = b"FTPACK01"
HEADER = struct.Struct("<8sQ")  # magic, bytes of the JSON that follows
BLOCK = struct.Struct("<I?3H")  # checksum of the parent's voxels, whether the label is not just what changed, shape
COMPRESSION = {"typesize": 2, "codec": blosc2.Codec.ZSTD, "clevel": 1, "nthreads": 1}


@dataclass(frozen=True)
class Lesion:
    """A synthetic lesion as the bank keeps it.

    Attributes:
        change: int16 HU (z, y, x) to add to the parent in the lesion's box.
        label: bool, same shape: voxels of the lesion.
        corner: first voxel of the box in the stored parent volume.
        parent_crc: checksum of the parent's voxels in the box.
    """

    change: np.ndarray
    label: np.ndarray
    corner: Index
    parent_crc: int

    @property
    def box(self) -> tuple[slice, ...]:
        """The lesion's box in the stored parent volume."""
        return tuple(slice(c, c + n) for c, n in zip(self.corner, self.label.shape, strict=True))


def crop_lesion(before: np.ndarray, after: np.ndarray, lesion: np.ndarray, corner: Index) -> Lesion:
    """Cut a painted patch down to what changed.

    Args:
        before: int16 HU (z, y, x) of the canvas.
        after: the same, painted.
        lesion: bool, same shape: the label, not empty.
        corner: first voxel of the patch in the stored parent volume.
    """
    box = bounding_box(lesion | (before != after))
    change = after[box].astype(np.int32) - before[box]
    place = tuple(side.start + c for side, c in zip(box, corner, strict=True))
    return Lesion(change.astype(np.int16), lesion[box], place, checksum(before[box]))


def checksum(voxels: np.ndarray) -> int:
    """CRC-32 of voxels, whatever their layout in memory."""
    return zlib.crc32(np.ascontiguousarray(voxels, dtype="<i2"))


def apply_lesion(lesion: Lesion, image: np.ndarray, label: np.ndarray, code: int, corner: Index = (0, 0, 0)) -> None:
    """Put a lesion into its parent, in place.

    Args:
        lesion: the lesion.
        image: the parent, or a patch of it, int16 HU (z, y, x).
        label: its label, uint8.
        code: tumor class to write.
        corner: first voxel of ``image`` in the stored parent volume; parts of the lesion outside are left out.

    Raises:
        UserError: if the voxels to be changed are not those that the lesion was painted on.
    """
    low = [max(a, c) for a, c in zip(lesion.corner, corner, strict=True)]
    high = [min(a + n, c + m) for a, n, c, m in zip(lesion.corner, lesion.label.shape, corner, image.shape, strict=True)]
    if any(a >= b for a, b in zip(low, high, strict=True)):
        return
    inner = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, lesion.corner, strict=True))
    outer = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, corner, strict=True))
    part = image[outer]
    if part.shape == lesion.label.shape and checksum(part) != lesion.parent_crc:
        raise UserError(
            f"the voxels at {list(lesion.corner)} are not those that the lesion was painted on: another volume, another "
            "preprocessing, or another lesion that was applied before"
        )
    part += lesion.change[inner]
    label[outer][lesion.label[inner]] = code


def pack_lesion(lesion: Lesion) -> bytes:
    """The block of a lesion; the same lesion has the same bytes."""
    differs = not np.array_equal(lesion.label, lesion.change != 0)
    content = np.ascontiguousarray(lesion.change, dtype="<i2").tobytes()
    if differs:  # a rim that was blurred beyond the label
        content += np.packbits(lesion.label).tobytes()
    return BLOCK.pack(lesion.parent_crc, differs, *lesion.label.shape) + blosc2.compress2(content, **COMPRESSION)


def unpack_lesion(block: bytes, corner: Index) -> Lesion:
    """The lesion of a block."""
    crc, differs, *shape = BLOCK.unpack_from(block)
    content, count = blosc2.decompress2(block[BLOCK.size :]), math.prod(shape)
    change = np.frombuffer(content, "<i2", count).astype(np.int16).reshape(shape)
    if not differs:
        return Lesion(change, change != 0, corner, crc)
    bits = np.unpackbits(np.frombuffer(content, np.uint8, offset=2 * count), count=count)
    return Lesion(change, bits.astype(bool).reshape(shape), corner, crc)


def write_pack(path: Path, rows: Sequence[dict], blocks: Sequence[bytes], fingerprint: str) -> None:
    """Write all that was made on a parent atomically; its existence means that the parent is done.

    Args:
        path: the pack.
        rows: records of all draws, with ``offset`` and ``bytes`` of those that have a block.
        blocks: blocks, in the order of their offsets, which count from the end of the header.
        fingerprint: of everything that the content depends on.
    """
    header = json.dumps({"fingerprint": fingerprint, "rows": list(rows)}, sort_keys=True).encode()
    with atomic(path) as temporary:
        temporary.write_bytes(HEADER.pack(MAGIC, len(header)) + header + b"".join(blocks))


def read_rows(path: Path, fingerprint: str) -> list[dict] | None:
    """The records of a pack; None if there is none, or it is damaged or of another fingerprint."""
    try:
        data = path.read_bytes()
        magic, length = HEADER.unpack_from(data)
        header = json.loads(data[HEADER.size : HEADER.size + length])
        if magic != MAGIC or header["fingerprint"] != fingerprint:
            return None
        body = memoryview(data)[HEADER.size + length :]
        for row in header["rows"]:
            if row["patch"] and _digest(body[row["offset"] : row["offset"] + row["bytes"]]) != row["patch_sha256"]:
                return None
    except (OSError, ValueError, KeyError, struct.error):
        return None
    return header["rows"]


def read_lesion(manifest: str | Path, row: pd.Series) -> Lesion:
    """Read the lesion of a manifest row.

    Args:
        manifest: path of the manifest; packs are relative to its folder.
        row: an accepted row.

    Raises:
        UserError: if the pack is missing or does not hold what the manifest speaks of.
    """
    return unpack_lesion(read_block(manifest, row), tuple(json.loads(row["corner"])))


def read_block(manifest: str | Path, row: pd.Series) -> bytes:
    """Read the block of a manifest row, as :func:`read_lesion`."""
    path = Path(manifest).parent / row["patch"]
    try:
        with path.open("rb") as stream:
            _, length = HEADER.unpack(stream.read(HEADER.size))
            stream.seek(HEADER.size + length + int(row["offset"]))
            block = stream.read(int(row["bytes"]))
    except FileNotFoundError:
        raise UserError(f"{path}: lesions not found; the manifest {manifest} names it") from None
    except struct.error:
        block = b""
    if _digest(block) != row["patch_sha256"]:
        raise UserError(f"{path}: checksum of lesion {row['lesion_id']} differs from the manifest {manifest}")
    return block


def read_image(manifest: str | Path, row: pd.Series) -> np.ndarray:
    """The image (n, n) in HU of a row of a synthesizer of whole images: what was painted on an empty canvas."""
    return (AIR + read_lesion(manifest, row).change)[0]


def accepted_rows(manifest: str | Path, cases: Sequence[Case] | None = None) -> pd.DataFrame:
    """The accepted rows of a manifest, sorted by parent and draw.

    Args:
        manifest: path of the manifest.
        cases: keep only lesions of these parents, and check that they still are what they were.

    Raises:
        UserError: if a parent has changed since it was painted on.
    """
    rows = read_table(manifest, MANIFEST)
    rows = rows[rows["outcome"] == ACCEPTED]
    if cases is not None:
        hashes = {case.case_id: case.parent_hash for case in cases}
        rows = rows[rows["case_id"].isin(hashes)]
        changed = rows[rows["parent_hash"] != rows["case_id"].map(hashes)]
        if len(changed):
            raise UserError(
                f"{manifest}: the volume of {changed['case_id'].iloc[0]} has changed since lesions were painted on it"
            )
    return rows.reset_index(drop=True)


def record_block(block: bytes, offset: int) -> dict:
    """What a manifest row says of its block."""
    return {"offset": offset, "bytes": len(block), "patch_sha256": _digest(block)}


def _digest(block: bytes | memoryview) -> str:
    return hashlib.sha256(block).hexdigest()
