"""Files that are either complete or absent: write to a temporary name, flush to disk, rename."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import DiskFull
from .progress import format_bytes

SCARCE = 2**20  # bytes: a disk with less is taken to be full


def temporary_name(path: Path) -> Path:
    """A name beside ``path`` that belongs to this process; it ends in the suffixes of ``path``, which many writers go by."""
    suffix = "".join(path.suffixes[-2:])
    return path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.tmp{suffix}")


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success flush it to disk and rename it into place.

    If the block raises, the temporary file is removed and ``path`` is left as it was. If the process is killed, the file stays
    until a run has come to its end (``leftovers``).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        yield temporary
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except Exception as error:
        if (full := _disk_full(error, path, temporary)) is not None:
            raise full from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _disk_full(error: Exception, path: Path, temporary: Path) -> DiskFull | None:
    """The error to raise instead, if ``error`` came of a full disk; some writers say so in no other way than by failing."""
    free = shutil.disk_usage(path.parent).free
    if getattr(error, "errno", None) not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) and free > SCARCE:
        return None
    written = temporary.stat().st_size if temporary.exists() else 0
    return DiskFull(
        f"{path}: no room: it needs more than the {format_bytes(written + free)} that there were; make room on the disk of "
        f"{path.parent.resolve()} and say the same command again"
    )


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, as UTF-8."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` to ``path`` atomically as indented JSON with sorted keys."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, default=str) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal text."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """SHA-256 of a JSON-serializable value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
