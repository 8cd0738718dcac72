"""The report of a pre-flight, as plain text: sources, stages, machine, warnings, assumptions."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from freetumor.core.config import Config
from freetumor.core.progress import format_duration
from freetumor.download.estimates import Stage

if TYPE_CHECKING:
    from freetumor.core.needs import Need
    from freetumor.download.preflight import Machine
    from freetumor.download.preflight_sources import State


def report(
    config: Config,
    states: Sequence["State"],
    plan: Sequence[Stage],
    machine: "Machine",
    places: Sequence[tuple[Path, float, float]],
    largest: Mapping[str, tuple[str, "Need"]],
    warnings: Sequence[str],
    duration: Callable[[Stage], str],
    assumptions: Sequence[str],
) -> str:
    """The whole text."""
    sources = [
        (state.source, state.state, _count(state.volumes), _size(state.fetch) if state.fetch != 0 else "", state.note)
        for state in states
    ]
    work = [(stage.name, stage.work, _size(stage.gigabytes) if stage.gigabytes else "", duration(stage)) for stage in plan]
    disks = [f"{free:.1f} GB free for {path}, {needed:.1f} GB needed" for path, needed, free in places]
    blocks = [
        [f"{config.study}: {config.title}"],
        table(("source", "state", "volumes", "to fetch", "license, or where to get it"), sources),
        table(("stage", "work", "disk", "time"), work),
        [_machine(machine), *disks, _largest(largest)],
        [f"warning: {text}" for text in warnings],
        ["estimates rest on", *(f"  {text}" for text in assumptions)] if assumptions else [],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _machine(machine: "Machine") -> str:
    shared = [f"{machine.shared:.1f} GB of /dev/shm"] if math.isfinite(machine.shared) else []
    gpus = machine.gpus or ["no GPU"]
    return ", ".join([f"{machine.cores} cores", f"{machine.memory:.0f} GB of memory", *shared, *gpus])


def _largest(jobs: Mapping[str, tuple[str, "Need"]]) -> str:
    """The jobs that ask for most."""
    (greatest, memory), (longest, time) = jobs["memory"], jobs["time"]
    limit = format_duration(60 * time.minutes)
    return f"largest job: {greatest} asks for {memory.memory_mb / 1e3:.1f} GB; longest limit: {longest}, {limit}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table with aligned columns; the last one may be long."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head) - 1)]
    lines = [
        "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[-1]]) for row in [head, *rows]
    ]
    return [line.rstrip() for line in [lines[0], "-" * len(lines[0]), *lines[1:]]]


def _count(number: int | None) -> str:
    return "not known" if number is None else f"{number:,}"


def _size(gigabytes: float | None) -> str:
    if gigabytes is None:
        return "not known"
    if gigabytes < 0.1:
        return f"{gigabytes * 1e3:.0f} MB"
    return f"{gigabytes / 1e3:.1f} TB" if gigabytes >= 1e3 else f"{gigabytes:.1f} GB"
