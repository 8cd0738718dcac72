"""Before anything starts: which sources are present, missing or gated, what the stages will take, and what this machine has."""

import math
import os
import shlex
import shutil
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.known_costs import costs
from freetumor.core.needs import Need, jobs_of
from freetumor.download import public
from freetumor.download.estimates import Stage, assumptions, duration, stages
from freetumor.download.preflight_sources import FETCH, HAND, MADE, PACKAGE, WRONG, State, inspect_source
from freetumor.download.sizes import study_of

SHARED_MEMORY = 1.0  # 10^9 bytes of /dev/shm below which the processes of a training on several GPUs may find no room to talk


@dataclass(frozen=True)
class Machine:
    """Resources; sizes in 10^9 bytes (infinite ``shared``: this system has no such thing), GPUs by name."""

    cores: int
    memory: float
    shared: float
    gpus: tuple[str, ...]


def inspect_machine() -> Machine:
    """What this machine has, without loading torch."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    shared = shutil.disk_usage("/dev/shm").free / 1e9 if Path("/dev/shm").is_dir() else math.inf
    return Machine(cores, memory, shared, _gpus())


def _gpus() -> tuple[str, ...]:
    command = shutil.which("nvidia-smi")
    if command is None:
        return ()
    try:
        done = subprocess.run([command, "-L"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.SubprocessError):  # a driver that hangs
        return ()
    return tuple(line for line in done.stdout.splitlines() if line.startswith("GPU")) if done.returncode == 0 else ()


def check_study(config: Config, rate: float | None = None) -> str:
    """Check a study and say what it will take, as text.

    Args:
        config: the study.
        rate: 10^6 bytes per second of the connection; ``None``: as assumed in ``costs.csv``.

    Raises:
        UserError: if the study cannot start; the report is the attribute ``report`` of the error.
    """
    from freetumor.download.preflight_report import report

    states, machine = [inspect_source(source) for source in config.sources], inspect_machine()
    volumes = sum(state.volumes or 0 for state in states if state.state != MADE)
    pool = sum(state.volumes or 0 for state in states if state.pool)
    fetch, unpacked = sum(state.fetch or 0 for state in states), sum(state.unpacked for state in states)
    plan = stages(config, volumes, pool, fetch, unpacked, rate or costs()["download", "rate of the connection"])
    places, largest = _places(states, plan), largest_jobs(config, states)
    warnings = warnings_of(config, states, machine) + too_large(largest, machine)
    text = report(config, states, plan, machine, places, largest, warnings, duration, assumptions(plan))
    if reason := obstacle(states, places, config.downloads.offline):
        error = UserError(reason)
        error.report = text
        raise error
    return text


def obstacle(states: list[State], places: list[tuple[Path, float, float]], offline: bool = False) -> str:
    """Why the study cannot start, in a line; empty if it can."""
    for state in states:
        if state.state in (WRONG, PACKAGE):
            return state.note
    missing = [state.source for state in states if state.state == HAND]
    if missing:
        return f"sources: {', '.join(missing)} must be fetched by hand first; the table says from which page, into which folder"
    absent = [state.source for state in states if state.state == FETCH and not public.is_present(state.folder)]
    if offline and absent:
        return f"sources: {', '.join(absent)} must be fetched first, but downloads.offline is true"
    for place, needed, free in places:
        if needed > free:
            return f"{place}: {needed:.1f} GB are needed, {free:.1f} GB are free; use limit in sources, or another disk"
    return ""


def largest_jobs(config: Config, states: list[State]) -> dict[str, tuple[str, Need]]:
    """The job that asks for most ``memory``, and the one with the highest ``time`` limit: what it is called, and its need."""
    counted = {state.source: state.volumes for state in states if state.volumes}
    jobs = [(" ".join([kind, *names.values()]), need) for kind, names, need in jobs_of(study_of(config, counted=counted))]
    return {
        "memory": max(jobs, key=lambda job: job[1].memory_mb),
        "time": max(jobs, key=lambda job: job[1].minutes),
    }


def too_large(largest: dict[str, tuple[str, Need]], machine: Machine) -> list[str]:
    """What this machine could not hold."""
    name, need = largest["memory"]
    if need.memory_mb <= machine.memory * 1e3:
        return []
    return [f"{name} asks for {need.memory_mb / 1e3:.1f} GB of memory, more than this machine has"]


def warnings_of(config: Config, states: list[State], machine: Machine) -> list[str]:
    """What does not stop a study but may spoil it."""
    lacking: dict[str, list[str]] = defaultdict(list)
    for state, source in zip(states, config.sources, strict=True):
        if state.organs is not None and getattr(source, "organ_labels", None) is None:
            lacking[", ".join(organ for organ in config.organs if organ not in state.organs)].append(state.source)
    found = [
        f"no masks of {organs} in {', '.join(names)}: there taught as background" for organs, names in lacking.items() if organs
    ]
    programs: dict[str, list[str]] = defaultdict(list)
    for source in config.sources:
        if wanted := getattr(source, "organ_labels", None):
            programs[shlex.split(wanted.command)[0]].append(source.name)
    found += [
        f"{program} is not installed on this machine; it is to label the organs of {', '.join(names)}"
        for program, names in programs.items()
        if shutil.which(program) is None
    ]
    if config.compute.device == "cuda" and not machine.gpus:
        found.append("compute.device is cuda, but this machine shows no GPU: trainings must run on others")
    if config.compute.gpus_per_job > 1 and config.compute.device != "cpu" and machine.shared < SHARED_MEMORY:
        found.append(f"/dev/shm has {machine.shared:.1f} GB free: trainings on several GPUs exchange gradients through it")
    for what, values in {"volumes": "volumes", "bytes to fetch": "fetch"}.items():
        unknown = [state.source for state in states if getattr(state, values) is None]
        if unknown:
            found.append(f"{what} not stated, so not in the estimates: {', '.join(unknown)}")
    return found


def _places(states: list[State], plan: list[Stage]) -> list[tuple[Path, float, float]]:
    """Per disk: a path on it, what is needed and what is free (10^9 bytes)."""
    needs = [(state.folder, (state.fetch or 0) + state.unpacked) for state in states]
    needs.append((Path("results"), sum(stage.gigabytes for stage in plan if stage.name != "download")))
    disks: dict[int, tuple[Path, float, float]] = {}
    for path, needed in needs:
        there = next(parent for parent in [path.resolve(), *path.resolve().parents] if parent.exists())
        device = there.stat().st_dev
        first, sum_so_far, free = disks.get(device, (path, 0.0, shutil.disk_usage(there).free / 1e9))
        disks[device] = (first if sum_so_far else path, sum_so_far + needed, free)
    return list(disks.values())
