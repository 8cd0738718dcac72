"""The ledger of a source: one row per file that was fetched, when, from where, with which hash. Rows are only ever added.

Timestamps are here and nowhere else, so that everything made of the files stays the same byte for byte.
"""

import calendar
import contextlib
import csv
import fcntl
import io
import os
import re
import threading
import time
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from freetumor.core.errors import UserError

LONGEST_ETAG = 200
LONGEST_ROW = 1 << 16  # bytes
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True)
class Entry:
    """A row of a ledger.

    Attributes:
        path: of the file, below the folder of its source.
        url: address it came from, without anything secret; empty if it was already there.
        fetched: moment in UTC, as ``2025-01-31T12:00:00Z``; the modification time of the file is set to it.
        bytes: size.
        sha256: hash of the file.
        verified: what the file was checked against: a published hash (``sha256:<hex>``, ``md5:<hex>``), ``ledger`` (an earlier
            row), or nothing: ``unverified`` (recorded on first use).
        etag: entity tag that the server gave, if any.
    """

    path: str
    url: str
    fetched: str
    bytes: int
    sha256: str
    verified: str
    etag: str = ""

    @property
    def moment(self) -> int:
        """``fetched`` in seconds since 1970."""
        return calendar.timegm(time.strptime(self.fetched, TIME_FORMAT))


COLUMNS = tuple(field.name for field in fields(Entry))


def read_ledger(path: str | Path) -> dict[str, Entry]:
    """The last row of each file, by path; empty if there is no ledger yet. A row cut off by a crash is left out.

    Raises:
        UserError: if the file is not a ledger.
    """
    path = Path(path)
    if not path.exists():
        return {}
    complete = path.read_bytes().rpartition(b"\n")[0].decode("utf-8", errors="replace")
    rows = csv.reader(io.StringIO(complete), delimiter="\t", quoting=csv.QUOTE_NONE)
    if complete and tuple(next(rows)) != COLUMNS:
        raise UserError(f"{path}: not a ledger of downloads; expected the columns {', '.join(COLUMNS)}")
    entries = {}
    for row in rows:
        if len(row) == len(COLUMNS) and TIME.fullmatch(row[2]) and row[3].isdecimal():
            entries[row[0]] = Entry(row[0], row[1], row[2], int(row[3]), *row[4:])
    return entries


class Ledger:
    """A ledger that rows are added to, by any number of threads and processes."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.entries = read_ledger(path)
        self._lock = threading.Lock()

    def add(self, entry: Entry) -> None:
        """Append a row; one that an earlier crash cut off is removed first."""
        line = "\t".join(_cell(value) for value in astuple(entry)) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, self.path.open("a+b", buffering=0) as stream:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(stream, fcntl.LOCK_EX)
            size = os.fstat(stream.fileno()).st_size
            stream.seek(max(size - LONGEST_ROW, 0))
            tail = stream.read()
            torn = len(tail) - (tail.rfind(b"\n") + 1)
            if torn:
                stream.truncate(size - torn)
            header = "" if size - torn else "\t".join(COLUMNS) + "\n"
            stream.write((header + line).encode())
            if entry.verified == "unverified":  # else the hash is known without this row
                os.fsync(stream.fileno())
            self.entries[entry.path] = entry

    def refresh(self) -> None:
        """Read the rows that other processes have added."""
        with self._lock:
            self.entries = read_ledger(self.path)


def now() -> str:
    """This moment, as a ledger writes it."""
    return time.strftime(TIME_FORMAT, time.gmtime())


def _cell(value: str | int) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", " ", str(value))
