"""Unpacking an archive from the network: every file of it, exactly, or nothing at all.

An archive is unpacked into a hidden folder beside its target, which is renamed when the last byte is on disk. No link is ever
made, so nothing can be written through one. Python before 3.11.13 has no tar filter that can be trusted (CVE-2025-4517), and
a filter alone knows nothing of bombs or of names that collide; hence the rules of ``archive_names`` and ``archive_readers``.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from freetumor.core.errors import DiskFull, UserError
from freetumor.core.files import read_json, sha256_file, write_json
from freetumor.download.archive_names import Names, Refused, safe_parts, show
from freetumor.download.archive_readers import READERS, Member, declared_size

MARKER = ".unpacked.json"  # written last into the folder: the archive's hash, and the size of each file
FOLDER_MODE, FILE_MODE = 0o755, 0o644
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Limits:
    """What an honest archive stays below.

    Attributes:
        members: files and folders.
        size: bytes of all files.
        ratio: bytes of all files per byte of the archive; zeros reach 1,000 and more, images 2 to 5.
        slack: bytes that are allowed whatever the ratio.
    """

    members: int = 2_000_000
    size: int = 4 * 2**40
    ratio: float = 200.0
    slack: int = 2**30

    def allowance(self, packed: int) -> int:
        """Bytes that an archive of ``packed`` bytes may unpack to."""
        return int(min(self.size, max(self.slack, self.ratio * packed)))


def unpack(archive: Path, folder: Path, limits: Limits = Limits()) -> list[Path]:
    """Unpack an archive into a folder of its own, all or nothing.

    A folder that holds this very archive already is left as it is; one that holds another version of it is replaced.

    Args:
        archive: a ``.zip``, ``.tar``, ``.tar.gz``, ``.tgz``, ``.tar.zst``, ``.tzst`` or ``.gz`` file.
        folder: where its files are to lie; made by this function.
        limits: what the archive must stay below.

    Returns:
        The files, sorted.

    Raises:
        UserError: in one line, if the archive is damaged or hostile, or the folder holds anything else.
    """
    archive, folder = Path(archive), Path(folder)
    reader = _reader(archive)
    digest = sha256_file(archive)
    marker = _marker(folder)
    if marker is not None and marker["sha256"] == digest and _complete(folder, marker["files"]):
        return sorted(folder / name for name in marker["files"])
    check_target(archive.name, folder)
    staging = folder.with_name(f".{folder.name}.unpacking")
    try:
        _remove(staging)  # of a run that was killed
        staging.mkdir(parents=True)
        sizes = _extract(archive, reader(archive), staging, limits)
        write_json(staging / MARKER, {"archive": archive.name, "sha256": digest, "files": sizes})
        _flush(staging)
        _replace(staging, folder)
    except Refused as refusal:
        raise UserError(f"{archive}: not unpacked: {refusal}") from refusal
    except UserError:
        raise
    except Exception as error:  # the parsers raise many kinds on damaged archives
        kind = DiskFull if getattr(error, "errno", None) in FULL else UserError
        raise kind(f"{archive}: not unpacked: {_explain(error)}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return sorted(folder / name for name in sizes)


def check_target(archive: str, folder: Path) -> None:
    """Raise a :class:`UserError` if a folder holds files that :func:`unpack` did not put there."""
    if folder.is_symlink() or (folder.exists() and _marker(folder) is None and not _empty(folder)):
        raise UserError(
            f"{folder}: holds files that do not come from {archive}; move them away, or read them by a source of kind folder"
        )


def _reader(archive: Path) -> object:
    """The reader for the longest suffix that fits."""
    if not archive.is_file():
        raise UserError(f"{archive}: archive not found")
    for suffix in sorted(READERS, key=len, reverse=True):
        if archive.name.lower().endswith(suffix):
            return READERS[suffix]
    raise UserError(f"{archive}: not an archive; expected a name ending in {', '.join(READERS)}")


def _extract(archive: Path, members: Iterator[Member], staging: Path, limits: Limits) -> dict[str, int]:
    """Write all members; return the size of each file by its name."""
    packed = archive.stat().st_size
    allowed = limits.allowance(packed)
    if archive.suffix.lower() == ".zip":
        _allow(declared_size(archive), packed, allowed)
    names, sizes, total = Names(), {}, 0
    names.add((MARKER,), is_folder=False)
    for count, member in enumerate(members, 1):
        if count > limits.members:
            raise Refused(f"more than {limits.members} members")
        parts = safe_parts(member.name)
        if not parts and member.chunks is None:
            continue
        if not parts:
            raise Refused(f"a file cannot have the name {show(member.name)}")
        names.add(parts, member.chunks is None)
        path = staging.joinpath(*parts)
        if member.chunks is None:
            path.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
            continue
        _allow(total + (member.size or 0), packed, allowed)
        path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        sizes["/".join(parts)] = size = _write(path, member.chunks, packed, allowed - total)
        total += size
    if not sizes:
        raise Refused("it holds no file")
    return sizes


def _allow(size: int, packed: int, allowed: int) -> None:
    if size > allowed:
        raise Refused(f"it would unpack {packed} bytes to more than {allowed}, as a bomb does")


def _write(path: Path, chunks: Iterator[bytes], packed: int, allowed: int) -> int:
    """Write a new file; return its size."""
    size = 0
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE), "wb") as stream:
        for chunk in chunks:
            size += len(chunk)
            _allow(size, packed, allowed)
            stream.write(chunk)
    return size


def _marker(folder: Path) -> dict | None:
    """The marker of an unpacked folder, else ``None``."""
    try:
        marker = read_json(folder / MARKER)
        return {"sha256": marker["sha256"], "files": dict(marker["files"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _complete(folder: Path, sizes: dict[str, int]) -> bool:
    """Whether every file is still there in full."""
    try:
        return all((folder / name).lstat().st_size == size for name, size in sizes.items())
    except OSError:
        return False


def _empty(folder: Path) -> bool:
    return folder.is_dir() and next(folder.iterdir(), None) is None


def _flush(root: Path) -> None:
    """Flush all files and folders to disk: at the end, when the system has written most of them already."""
    for folder, _, names in os.walk(root):
        for path in (*(Path(folder, name) for name in names), Path(folder)):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _replace(staging: Path, folder: Path) -> None:
    """Put the finished folder in place of an older one."""
    old = folder.with_name(f".{folder.name}.old")
    _remove(old)
    if folder.exists():
        folder.rename(old)
    staging.rename(folder)
    _remove(old)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _explain(error: Exception) -> str:
    """Half a line on what went wrong: the system's own words where the disk is at fault, else that the archive is damaged."""
    if isinstance(error, OSError) and error.errno is not None:
        return str(error.strerror)
    text = ascii(" ".join(str(error).split())[:100])[1:-1]
    return f"the archive is damaged ({text or type(error).__name__})"
