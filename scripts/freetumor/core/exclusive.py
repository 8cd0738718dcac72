"""One process per job: a job that an interrupted run left behind, and its repetition, must not write the same files at once."""

import contextlib
import hashlib
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from .locks import locked

PAUSE = 0.5  # seconds between two looks
PATIENCE = 60.0  # seconds between two lines that tell of waiting


@contextlib.contextmanager
def exclusive(command: Sequence[str], folder: Path = Path(".snakemake")) -> Iterator[None]:
    """Hold the right to run ``command``; wait while another process of this machine, or of the network file system, has it.

    Args:
        command: script and arguments, among them the outputs.
        folder: where the locks lie; without it, outside a workflow, nothing is locked.
    """
    if not folder.is_dir() or int(os.environ.get("RANK", 0)) > 0:  # the first process of a distributed job stands for all
        yield
        return
    path = folder / "freetumor_jobs" / (hashlib.sha256("\0".join(command).encode()).hexdigest()[:24] + ".lock")
    path.parent.mkdir(exist_ok=True)
    descriptor = _acquire(path)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
        path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _acquire(path: Path) -> int:
    """Wait for the lock; its open descriptor."""
    told = float("-inf")
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if not locked(descriptor):
            if time.monotonic() - told > PATIENCE:
                told = time.monotonic()
                holder = os.pread(descriptor, 200, 0).decode() or "another process"
                print(f"waiting: {holder} already does this job", file=sys.stderr, flush=True)
            time.sleep(PAUSE)
        elif path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
        os.close(descriptor)  # also a lock on a file that its last holder has removed
