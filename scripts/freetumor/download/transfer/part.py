"""The unfinished copy of a file: ``.<name>.part`` beside its final name, with a note of which version of the file it is of.

The file is its own lock: of two jobs that want the same file, one fetches and the other waits.
"""

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from freetumor.core.files import read_json
from freetumor.core.locks import locked

from .hosts import Interrupted

PAUSE = 0.1  # seconds between two looks whether another job is done


@dataclass(frozen=True)
class Version:
    """Which version of which address a copy is of.

    Attributes:
        address: hash of the address, which may hold a token.
        etag: strong entity tag, or empty.
        modified: ``Last-Modified``, or empty.
        total: bytes of the whole file, or None if the server does not say.
    """

    address: str = ""
    etag: str = ""
    modified: str = ""
    total: int | None = None

    @property
    def validator(self) -> str:
        """What ``If-Range`` asks about; empty if nothing tells one version from the next."""
        return self.etag or self.modified


class Part:
    """An open, locked, unfinished copy.

    Attributes:
        version: what the bytes are of.
        size: bytes so far.
        furthest: most bytes that there ever were.
        pieced: whether the bytes came in more than one answer, or before this job.
    """

    def __init__(self, target: Path, stream: BinaryIO, kinds: Iterable[str]) -> None:
        self.target, self.stream, self.kinds = target, stream, tuple(kinds)
        self.note = target.with_name(f".{target.name}.part.json")
        self.size = self.furthest = os.fstat(stream.fileno()).st_size
        self.pieced = self.size > 0
        self.version = self._read_note()
        self._digests: dict[str, Any] = {} if self.size else self._new_digests()

    @property
    def path(self) -> Path:
        """Where the bytes are."""
        return part_path(self.target)

    @property
    def complete(self) -> bool:
        """Whether all bytes are there, of a version whose size is known."""
        return self.version.total is not None and self.size == self.version.total

    def restart(self, version: Version) -> None:
        """Throw all bytes away and begin with another version."""
        self.stream.truncate(0)  # first: a note must never speak of older bytes
        self.size, self.pieced, self.version, self._digests = 0, False, version, self._new_digests()
        self.note.write_text(json.dumps(asdict(version)), encoding="utf-8")  # if it is lost or torn, this begins again

    def append(self, data: bytes) -> None:
        """Add bytes."""
        digests = self._hashed()  # of the bytes before these
        view = memoryview(data)
        while view:  # an unbuffered write may take less than it is given
            view = view[self.stream.write(view) :]
        for digest in digests.values():
            digest.update(data)
        self.size += len(data)
        self.furthest = max(self.furthest, self.size)

    def digest(self, kind: str) -> str:
        """Hash of all bytes; those of an earlier job are read again from the first one on."""
        return self._hashed()[kind].hexdigest()

    def head(self, count: int) -> bytes:
        """The first ``count`` bytes."""
        with self.path.open("rb") as stream:
            return stream.read(count)

    @property
    def intact(self) -> bool:
        """Whether nobody else wrote into the copy, as on a disk without locks."""
        return os.fstat(self.stream.fileno()).st_size == self.size

    def flush(self) -> None:
        """Wait until all bytes are on disk."""
        os.fsync(self.stream.fileno())

    def finish(self, moment: float) -> None:
        """Give the file its final name and the modification time ``moment`` (seconds)."""
        os.utime(self.stream.fileno(), (moment, moment))
        self.note.unlink(missing_ok=True)
        self.path.replace(self.target)

    def set_aside(self) -> Path:
        """Keep the bytes as ``<name>.bad``."""
        self.note.unlink(missing_ok=True)
        return set_aside(self.path, self.target)

    def remove(self) -> None:
        """Remove a copy of which nothing is worth keeping."""
        self.note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _hashed(self) -> dict[str, Any]:
        if not self._digests:
            self._digests = hashed(self.path, self.kinds)
        return self._digests

    def _new_digests(self) -> dict[str, Any]:
        return {kind: hashlib.new(kind, usedforsecurity=False) for kind in self.kinds}

    def _read_note(self) -> Version:
        try:
            return Version(**read_json(self.note))
        except (OSError, ValueError, TypeError):
            return Version()


def hashed(path: Path, kinds: Iterable[str]) -> dict[str, Any]:
    """Running hashes of a file's bytes, by kind, in one reading."""
    digests = {kind: hashlib.new(kind, usedforsecurity=False) for kind in kinds}
    with path.open("rb") as stream:
        while data := stream.read(1 << 20):
            for digest in digests.values():
                digest.update(data)
    return digests


def set_aside(path: Path, target: Path) -> Path:
    """Rename the wrong bytes at ``path`` to ``<name of target>.bad``."""
    bad = target.with_name(f"{target.name}.bad")
    path.replace(bad)
    return bad


def part_path(target: Path) -> Path:
    """Where the unfinished copy of ``target`` lies."""
    return target.with_name(f".{target.name}.part")


@contextlib.contextmanager
def opened(target: Path, kinds: Iterable[str], stop: threading.Event) -> Iterator[Part | None]:
    """Open and lock the unfinished copy of ``target``, while another job holds it wait; yield None if ``target`` is there then.

    Args:
        target: final name.
        kinds: hashes that are wanted.
        stop: set to give up waiting.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with part_path(target).open("ab", buffering=0) as stream:
            if locked(stream.fileno()) and _still_there(stream, target):
                part = Part(target, stream, kinds)
                if target.exists():
                    part.remove()
                yield None if target.exists() else part
                return
        if stop.wait(PAUSE):
            raise Interrupted


def _still_there(stream: BinaryIO, target: Path) -> bool:
    """Whether an open copy has not been renamed by another job between opening and locking."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), part_path(target).stat())
    except FileNotFoundError:
        return False
