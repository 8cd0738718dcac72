"""How far a run has come: jobs by rule, read from Snakemake's log, and hours, read from the benchmarks of finished jobs."""

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .costs import job_costs
from .progress import format_duration
from .runs import Driver

RECENT = 120.0  # seconds since its log grew in which a job is taken to be at work
FINISHED = re.compile(r"^Finished jobid: (\d+) \(Rule: (\w+)\)")
FAILED = re.compile(r"^Error in rule (\w+):")
PLANNED = re.compile(r"^(\w+) +(\d+)$")


@dataclass
class Run:
    """A run, as its log tells it.

    Attributes:
        planned: jobs by rule.
        finished: jobs that ended well, by rule.
        failed: jobs that failed at least once and did not end well afterward, by rule.
    """

    planned: Counter[str] = field(default_factory=Counter)
    finished: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def waiting(self) -> Counter[str]:
        """Jobs that have not ended well, by rule; those that run now are among them."""
        return self.planned - self.finished


def read_run(log: Path) -> Run:
    """Read a log of Snakemake."""
    run, table = Run(), False
    attempts: Counter[str] = Counter()
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("Job stats:"):
            table = True
        elif table and (found := PLANNED.match(line)):
            table = found[1] != "total"
            if table:
                run.planned[found[1]] = int(found[2])
        elif found := FINISHED.match(line):
            run.finished[found[2]] += 1
        elif found := FAILED.match(line):
            attempts[found[1]] += 1
    run.failed = Counter({rule: min(count, run.waiting[rule]) for rule, count in attempts.items() if run.waiting[rule]})
    return run


def seconds_by_rule(study: Path) -> dict[str, list[float]]:
    """Seconds of each finished job of a study, by rule."""
    found: dict[str, list[float]] = {}
    for cost in job_costs(study):
        found.setdefault(cost.rule, []).append(cost.seconds)
    return found


def hours_left(run: Run, seconds: dict[str, list[float]]) -> tuple[float, list[str]]:
    """Hours of the jobs that are left if each takes as long as those of its rule so far, and the rules nothing is known of."""
    waiting = {rule: count for rule, count in run.waiting.items() if rule != "all"}
    known = sum(count * sum(seconds[rule]) / len(seconds[rule]) for rule, count in waiting.items() if seconds.get(rule))
    return known / 3600, sorted(rule for rule in waiting if not seconds.get(rule))


def last_lines(folder: Path, now: float) -> list[tuple[Path, str]]:
    """Logs of jobs that grew lately, with their last line."""
    found = []
    for path in sorted((folder / "logs").rglob("*.log")):
        if now - path.stat().st_mtime < RECENT:
            lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            found.append((path, lines[-1] if lines else "started"))
    return found


def describe(study: str, results: Path, logs: Path, driver: Driver | None) -> str:
    """The state of a study, as a page of text.

    Args:
        study: name of the study.
        results: folder of all results.
        logs: folder of Snakemake's logs; the newest is that of the last run in this folder.
        driver: who started the last run.
    """
    newest = max(logs.glob("*.snakemake.log"), default=None, key=lambda path: path.stat().st_mtime)
    if newest is None:
        return f"{study}: nothing has run in this folder"
    if driver is not None and driver.study != study:
        return f"{study}: the last run in this folder was of '{driver.study}'; say STUDY={driver.study}"
    run = read_run(newest)
    folder = results / study
    state = "is running" if driver is not None and driver.alive else "is not running"
    if driver is not None and not driver.here:
        state = f"was started on {driver.host}; whether it runs cannot be seen from here"
    total, done = sum(run.planned.values()), sum(run.finished.values())
    lines = [f"{study} {state}: {done} of {total} jobs of the last run are done, {sum(run.failed.values())} failed"]
    lines += _jobs(run)
    seconds = seconds_by_rule(folder)
    used = sum(map(sum, seconds.values()))
    left, unknown = hours_left(run, seconds)
    lines.append(f"used: {format_duration(used)} of all jobs that left a benchmark, in all runs of the study")
    more = f", and {len(unknown)} kinds of jobs whose time is not known yet" if unknown else ""
    lines.append(f"left: {format_duration(3600 * left)} of jobs, one after the other{more}")
    lines.append(f"quarantined: {_rows(folder / 'quarantine.tsv')}")
    active = last_lines(folder, time.time()) if driver is not None and driver.alive else []
    lines += [f"  {path.relative_to(folder / 'logs')}: {text}" for path, text in active]
    return "\n".join(lines)


def _jobs(run: Run) -> list[str]:
    """A line per rule that has many jobs or a failed one, and one for the others together."""
    shown = [rule for rule, count in run.planned.items() if count > 1 or run.failed[rule]]
    rest = [rule for rule in run.planned if rule not in shown]
    rows = [(rule, run.finished[rule], run.planned[rule], run.failed[rule]) for rule in shown]
    if rest:
        rows.append(("single jobs", sum(run.finished[rule] for rule in rest), len(rest), 0))
    return [
        f"  {name:<20} {done:>6} of {count}" + (f", {failed} failed" if failed else "") for name, done, count, failed in rows
    ]


def _rows(path: Path) -> str:
    if not path.exists():
        return "not known yet"
    with path.open(encoding="utf-8") as stream:
        return f"{max(0, sum(1 for _ in stream) - 1)} cases"
