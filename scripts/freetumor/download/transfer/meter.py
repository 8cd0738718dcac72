"""Progress of a transfer in files and bytes: at most one line every few seconds."""

import sys
import threading
import time
from typing import TextIO

from freetumor.core.progress import format_bytes, format_duration


class Meter:
    """Count bytes and files of many threads.

    Args:
        label: what is fetched.
        files: number of files.
        total: bytes of all files, or None if some sizes are unknown.
        done: bytes that an earlier job fetched; they do not count toward the rate.
        interval: least number of seconds between two lines.
    """

    def __init__(
        self, label: str, files: int, total: int | None, done: int = 0, interval: float = 5.0, stream: TextIO | None = None
    ) -> None:
        self.label, self.files, self.total, self.done, self.interval = label, files, total, done, interval
        self.received = self.finished = 0
        self.stream = stream or sys.stderr
        self.start = self.last = time.monotonic()
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Count bytes that have come; print a line if it is time to."""
        with self._lock:
            self.received += count
            self.done += count
            now = time.monotonic()
            if now - self.last >= self.interval:
                self.last = now
                self._print()

    def discard(self, count: int) -> None:
        """Bytes that were counted are of no use and will come again."""
        with self._lock:
            self.done -= count

    def finish_file(self) -> None:
        """Count a finished file; print a line after the last one, unless all took less than ``interval``."""
        with self._lock:
            self.finished += 1
            if self.finished == self.files and time.monotonic() - self.start >= self.interval:
                self._print()

    def _print(self) -> None:
        elapsed = max(time.monotonic() - self.start, 1e-9)
        rate = self.received / elapsed
        amount = format_bytes(self.done) + (f" of {format_bytes(self.total)}" if self.total else "")
        line = f"{self.label}: {self.finished}/{self.files} files, {amount}, {format_bytes(rate)}/s"
        if self.finished == self.files:
            line += f", finished in {format_duration(elapsed)}"
        elif self.total and rate > 0:
            line += f", {format_duration((self.total - self.done) / rate)} left"
        print(line, file=self.stream, flush=True)
