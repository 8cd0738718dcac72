"""Core-seconds, stages and peak memory."""

import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

STAGES = ("read", "shape", "texture", "painter", "gate", "write")


@dataclass(frozen=True)
class Sample:
    """One timing of one volume.

    Attributes:
        section: what is compared, such as ``bank``.
        side: ``reference``, ``library`` or ``floor``.
        volume: key of ``canvases.GRIDS``.
        kind: size class, or what else tells samples of a section apart.
        repeat: number of the repetition.
        seconds: core-seconds of one thread.
        wanted: lesions that were asked for.
        painted: lesions that were painted; fewer where the organ offered no place.
        stages: core-seconds per stage, if they were taken.
    """

    section: str
    side: str
    volume: str
    kind: str
    repeat: int
    seconds: float
    wanted: int = 1
    painted: int = 1
    stages: dict[str, float] = field(default_factory=dict)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Core-seconds of this process that a call takes, and what it returns."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


class Stages:
    """Core-seconds per stage, each without the stages that it calls; functions are wrapped from outside while it is active."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._open: list[str] = []
        self._since = 0.0

    @contextmanager
    def watch(self, *targets: tuple[object, str, str]) -> Iterator[None]:
        """Watch (owner, attribute, stage) for as long as the context lasts."""
        with ExitStack() as stack:
            for owner, name, stage in targets:
                stack.enter_context(patch.object(owner, name, self._wrap(getattr(owner, name), stage)))
            yield

    def _wrap(self, function: Callable, stage: str) -> Callable:
        def wrapped(*arguments: object, **keywords: object) -> object:
            self._switch(stage)
            try:
                return function(*arguments, **keywords)
            finally:
                self._switch(None)

        return wrapped

    def _switch(self, stage: str | None) -> None:
        """Enter a stage, or leave the innermost one."""
        now = time.process_time()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now
        if stage is None:
            self._open.pop()
        else:
            self._open.append(stage)


def peak_mb() -> float:
    """Greatest resident memory of this process so far, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux hands the parent's peak down to ``ru_maxrss`` of a new program
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1.024e-3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1e-6 if sys.platform == "darwin" else 1.024e-3)


def run_worker(*arguments: str) -> str:
    """What ``benchmarks.worker`` prints in a fresh process, where the memory of this one does not count."""
    repository = Path(__file__).resolve().parent.parent
    environment = os.environ | {"PYTHONPATH": f"{repository}{os.pathsep}{repository / 'scripts'}"}
    command = [sys.executable, "-m", "benchmarks.worker", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout
