"""Temporary files of killed jobs: nobody writes them to their end, and the repetition of a job takes names of its own."""

import os
import re
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

DAY = 86400.0  # seconds after which nobody is taken to write a temporary file still
NAME = re.compile(r"^\..+-(?P<pid>\d+)\.part(\..*)?$")


def temporary_name(path: Path) -> Path:
    """A name beside ``path`` that belongs to this process; it ends in the suffixes of ``path``, which many writers go by."""
    suffix = "".join(path.suffixes[-2:])
    return path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.part{suffix}")


def remove_leftovers(own: Iterable[Path], shared: Iterable[Path] = ()) -> int:
    """Remove temporary files and folders; how many there were.

    Args:
        own: folders in which nobody else writes: all are removed.
        shared: folders in which jobs of other studies may write: those of dead processes of this machine, and of other
            machines if they are a day old.
    """
    found = [path for folder in own for path in _temporary(folder)]
    found += [path for folder in shared for path in _temporary(folder) if _abandoned(path)]
    for path in found:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(found)


def _temporary(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        yield from (Path(place) / name for name in (*folders, *files) if NAME.match(name))
        folders[:] = [name for name in folders if not NAME.match(name)]


def _abandoned(path: Path) -> bool:
    pid = NAME.match(path.name)["pid"]
    if f".{socket.gethostname()}-{pid}.part" in path.name:
        return not psutil.pid_exists(int(pid))
    try:
        return time.time() - path.stat().st_mtime > DAY
    except OSError:  # renamed in between
        return False
