"""Temporary files of killed jobs: nobody writes them to their end, and the repetition of a job takes names of its own."""

import contextlib
import os
import re
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

DAY = 86400.0  # seconds after which no other machine is taken to write a temporary file still
NAME = re.compile(r"^\..+-(?P<pid>\d+)\.tmp(\..*)?$")  # see files.temporary_name


def remove_leftovers(folders: Iterable[Path]) -> int:
    """Remove temporary files and folders of dead processes of this machine, and of other machines if they are a day old.

    What cannot be removed, for example because it belongs to somebody else, stays.

    Returns:
        How many there were.
    """
    found = [path for folder in folders for path in _temporary(folder) if _abandoned(path)]
    for path in found:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
    return len(found)


def _temporary(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        yield from (Path(place) / name for name in (*folders, *files) if NAME.match(name))
        folders[:] = [name for name in folders if not NAME.match(name)]


def _abandoned(path: Path) -> bool:
    pid = NAME.match(path.name)["pid"]
    if f".{socket.gethostname()}-{pid}.tmp" in path.name:
        return not _alive(int(pid))
    try:
        return time.time() - path.stat().st_mtime > DAY
    except OSError:  # renamed in between
        return False


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # somebody else's; no number of a process
        return True
    return True
