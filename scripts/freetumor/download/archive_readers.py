"""The members of an archive, one by one, from front to back; anything but plain files and folders is refused.

Python's own parsers read the headers. What they let pass in silence is refused here: an archive that ends early or goes on
after its end, members that lie about their size or share their bytes, links and devices, headers that fill the memory.
"""

import contextlib
import copy
import gzip
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from freetumor.download.archive_names import Refused, show

CHUNK = 2**20
LARGEST_HEADER = 2**16  # bytes that a tar header, with its long name or its attributes, may have
LONGEST_TAIL = 2**20  # zero bytes after the end of a tar archive
LOCAL_HEADER = 30  # bytes of a zip member before its name
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
GZIP_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class Member:
    """A file or folder of an archive.

    Attributes:
        name: as the archive writes it.
        size: bytes that the archive declares; ``None`` if it declares none.
        chunks: the content, to be read before the next member; ``None`` for a folder.
    """

    name: str
    size: int | None
    chunks: Iterator[bytes] | None


def read_zip(path: Path) -> Iterator[Member]:
    """Members of a zip file, in the order of its directory."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        _check_layout(entries, archive.start_dir)
        for entry in entries:
            _check_entry(entry)
        for entry in entries:
            if entry.is_dir():
                yield Member(entry.orig_filename, 0, None)
            else:
                yield Member(entry.orig_filename, entry.file_size, _inflate(archive, entry))


def declared_size(path: Path) -> int:
    """Bytes that a zip file says it unpacks to."""
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _check_layout(entries: list[zipfile.ZipInfo], end: int) -> None:
    """Members must lie one behind the other: those that share bytes make a small file unpack to a huge one."""
    free = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < free:
            raise Refused(f"the member {show(entry.filename)} shares bytes with another one")
        free = entry.header_offset + LOCAL_HEADER + entry.compress_size
    if free > end:
        raise Refused("a member reaches into the directory")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    mode = entry.external_attr >> 16
    if entry.flag_bits & 0x1:
        raise Refused(f"the member {show(entry.filename)} is encrypted")
    if stat.S_IFMT(mode) not in (0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG):
        raise Refused(f"the member {show(entry.filename)} is no plain file or folder")
    if entry.is_dir() and entry.file_size:
        raise Refused(f"the folder {show(entry.filename)} has content")
    if entry.compress_type not in METHODS:
        method = zipfile.compressor_names.get(entry.compress_type, entry.compress_type)
        raise Refused(f"the member {show(entry.filename)} is compressed by the method '{method}'; unpack it by hand")


def _inflate(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """The content of a member. One byte more than declared is asked for, so that a surplus shows."""
    wanted = copy.copy(entry)
    wanted.file_size += 1
    count = 0
    with archive.open(wanted) as stream:
        while chunk := stream.read(CHUNK):
            count += len(chunk)
            if count > entry.file_size:
                break
            yield chunk
    if count != entry.file_size:
        raise Refused(f"the member {show(entry.filename)} does not have the size that it declares")


class Forward:
    """A stream that a tar parser may read from front to back only, in small pieces; it remembers the last one."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.place, self.last = stream, 0, b""

    def tell(self) -> int:
        """Bytes read so far."""
        return self.place

    def read(self, size: int) -> bytes:
        """Bytes of a header."""
        if not 0 <= size <= LARGEST_HEADER:
            raise Refused(f"a header of {size} bytes")
        self.last = b"".join(self.take(size))
        return self.last

    def take(self, size: int) -> Iterator[bytes]:
        """``size`` bytes in chunks; fewer at the end of the stream."""
        while size > 0 and (chunk := self.stream.read(min(size, CHUNK))):
            self.place += len(chunk)
            size -= len(chunk)
            yield bytes(chunk)


def read_tar(path: Path) -> Iterator[Member]:
    """Members of a tar file, plain or compressed, of any of its dialects."""
    with _decompressed(path) as stream:
        forward = Forward(stream)
        archive = tarfile.TarFile(fileobj=forward, mode="r")
        while (entry := archive.next()) is not None:
            archive.members = []  # it would keep all of them
            yield _tar_member(entry, forward)
            for _ in forward.take(archive.offset - forward.place):
                pass
        if forward.last != bytes(tarfile.BLOCKSIZE):
            raise Refused("the archive is damaged or ends early")
        tail = 0
        for chunk in forward.take(LONGEST_TAIL + 1):
            tail += len(chunk)
            if tail > LONGEST_TAIL or any(chunk):
                raise Refused("something follows the end of the archive")


def _tar_member(entry: tarfile.TarInfo, forward: Forward) -> Member:
    if entry.isdir() and not entry.size:
        return Member(entry.name, 0, None)
    if not entry.isreg() or entry.issparse() or entry.size < 0:
        raise Refused(f"the member {show(entry.name)} is no plain file or folder")
    return Member(entry.name, entry.size, _exactly(forward, entry))


def _exactly(forward: Forward, entry: tarfile.TarInfo) -> Iterator[bytes]:
    before = forward.place
    yield from forward.take(entry.size)
    if forward.place - before != entry.size:
        raise Refused("the archive is damaged or ends early")


@contextlib.contextmanager
def _decompressed(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed if they begin like a compressed file, whatever its name."""
    with path.open("rb") as raw:
        magic = raw.read(4)
        raw.seek(0)
        if magic.startswith(GZIP_MAGIC):
            yield gzip.GzipFile(fileobj=raw)
        elif magic == ZSTD_MAGIC:
            import pyarrow  # brings the codec along

            yield pyarrow.CompressedInputStream(raw, "zstd")
        else:
            yield raw


def read_gz(path: Path) -> Iterator[Member]:
    """The one file of a gzip file, called like it; the name that its header may hold is not used."""
    with gzip.open(path) as stream:
        yield Member(path.name[: -len(".gz")], None, iter(lambda: stream.read(CHUNK), b""))


READERS: dict[str, Callable[[Path], Iterator[Member]]] = {
    ".zip": read_zip,
    ".tar": read_tar,
    ".tar.gz": read_tar,
    ".tgz": read_tar,
    ".tar.zst": read_tar,
    ".tzst": read_tar,
    ".gz": read_gz,
}
