"""One job at a time in a folder of files, which studies and machines may share."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from freetumor.core.locks import locked

LOCK = ".lock"
PAUSE = 0.5  # seconds between two looks


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other job holds ``folder``, and hold it; the operating system takes it back from a job that ends.

    A folder that cannot be written to is not locked: nobody changes it.
    """
    try:
        stream = (folder / LOCK).open("ab")
    except OSError:
        yield
        return
    with stream:
        told = False
        while not locked(stream.fileno()):
            if not told:
                print(f"waiting: another job works in {folder}", file=sys.stderr, flush=True)
            told = True
            time.sleep(PAUSE)
        yield
