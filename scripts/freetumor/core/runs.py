"""Who runs the workflow in this folder, and what to do after it was killed."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from .errors import UserError
from .files import read_json, write_json

RECORD = Path(".snakemake/freetumor_driver.json")
SAME_START = 2.0  # seconds by which the clock may disagree about the start of a process


@dataclass(frozen=True)
class Driver:
    """The process that started the last run.

    Attributes:
        pid: its number.
        host: its machine.
        started: seconds since 1970 when the process began; numbers of processes are used again, starts are not.
        study: what it ran.
    """

    pid: int
    host: str
    started: float
    study: str

    @property
    def here(self) -> bool:
        """Whether it ran on this machine."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether it still runs on this machine."""
        try:
            return self.here and abs(psutil.Process(self.pid).create_time() - self.started) < SAME_START
        except psutil.Error:
            return False


def record_driver(study: str, path: Path = RECORD) -> None:
    """Note that this process runs ``study``."""
    started = psutil.Process().create_time()
    write_json(path, {"pid": os.getpid(), "host": socket.gethostname(), "started": started, "study": study})


def last_driver(path: Path = RECORD) -> Driver | None:
    """The process that started the last run in this folder, if it is known."""
    try:
        return Driver(**read_json(path))
    except (OSError, ValueError, TypeError):
        return None


def left_behind(folder: Path) -> list[psutil.Process]:
    """Processes of scripts that work in ``folder``; after the driver's end nobody waits for them."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            words = process.cmdline()
            if any(word.startswith("scripts/") for word in words[1:]) and Path(process.cwd()) == folder:
                found.append(process)
    return [process for process in found if process.pid not in (os.getpid(), os.getppid())]


def recover(snakemake: list[str]) -> None:
    """Release the lock that a killed run left, if it is certain that the run is over.

    Args:
        snakemake: the command line of the run.

    Raises:
        UserError: if the run is alive, or may be alive on another machine.
    """
    driver = last_driver()
    locked = any(Path(".snakemake/locks").glob("*"))
    if driver is not None and driver.alive:
        raise UserError(f"recover: process {driver.pid} still runs '{driver.study}' here; end it first, or wait")
    if locked and driver is not None and not driver.here:
        raise UserError(
            f"recover: the last run began on {driver.host}; say `make recover` there, or `make unlock` if it is surely over"
        )
    if locked:
        subprocess.run([*snakemake, "--unlock"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        print("released the lock of a run that is over")
    else:
        print("nothing is locked")
    for process in left_behind(Path.cwd()):
        age = (time.time() - process.create_time()) / 60
        print(f"process {process.pid} of it still works, for {age:.0f} min; its repetition will wait for it", file=sys.stderr)
