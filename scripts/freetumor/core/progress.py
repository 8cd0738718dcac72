"""Progress with a rate and a remaining time, readable in a terminal and in a log file alike: plain lines."""

import sys
import time
from typing import TextIO


def format_duration(seconds: float) -> str:
    """``75.2`` → ``1 min 15 s``."""
    seconds = round(max(seconds, 0))
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def format_bytes(count: float) -> str:
    """``1234567`` → ``1.2 MB``: powers of 1000, two digits or more."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{count:.0f} {unit}" if unit == "bytes" or abs(count) >= 99.5 else f"{count:.2g} {unit}"
        count /= 1000
    return f"{count:,.1f} TB" if abs(count) < 99.5 else f"{count:,.0f} TB"


class Progress:
    """Count finished items and print a line at most every ``interval`` seconds.

    Args:
        label: what is being done, for example ``"train real seed 1"``.
        total: number of items.
        unit: name of an item, for example ``"step"``.
        done: items finished before this run (a resumed job); they do not count toward the rate.
        interval: least number of seconds between two lines.
    """

    def __init__(
        self,
        label: str,
        total: int,
        unit: str,
        done: int = 0,
        interval: float = 5.0,
        stream: TextIO | None = None,
    ) -> None:
        self.label, self.total, self.unit, self.interval = label, total, unit, interval
        self.done = self.initial = done
        self.stream = stream or sys.stderr
        self.start = self.last = time.monotonic()

    def advance(self, items: int = 1, note: str = "") -> None:
        """Count ``items`` more; print a line if it is time to, or if this was the last one."""
        self.done += items
        now = time.monotonic()
        if now - self.last < self.interval and self.done < self.total:
            return
        self.last = now
        elapsed = max(now - self.start, 1e-9)
        rate = (self.done - self.initial) / elapsed
        line = f"{self.label}: {self.done}/{self.total} {self.unit}s, {rate:.3g} {self.unit}s/s"
        if self.done >= self.total:
            line += f", finished in {format_duration(elapsed)}"
        elif rate > 0:
            line += f", {format_duration((self.total - self.done) / rate)} left"
        print(line + (f", {note}" if note else ""), file=self.stream, flush=True)
