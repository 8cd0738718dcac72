"""Before anything starts: which sources are present, missing or gated, what the stages will take, and what this machine has."""

import csv
import math
import os
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from freetumor.core.config import Config, FolderSource, PhantomSource, PublicSource, RoiFolderSource, RoiPhantomSource, Source
from freetumor.core.errors import UserError
from freetumor.core.files import read_json
from freetumor.core.labels import is_tumor, organ_of
from freetumor.download import folder, idc, public, roi_folder
from freetumor.download.catalog import Entry
from freetumor.download.estimates import Stage, assumptions, duration, stages
from freetumor.download.sources import check_source
from freetumor.download.transfer.ledger import read_ledger

READY, MADE, FETCH, HAND, PACKAGE, WRONG = "ready", "made in code", "to fetch", "fetch by hand", "needs a package", "wrong"
SHARED_MEMORY = 1.0  # 10^9 bytes of /dev/shm below which loaders with workers have been seen to fail


@dataclass(frozen=True)
class State:
    """What is known of a source before its job runs.

    Attributes:
        source: its name.
        state: in a word or two.
        volumes: scans; ``None``: not known.
        fetch: 10^9 bytes to fetch; ``None``: not known.
        unpacked: 10^9 bytes that unpacking adds.
        pool: whether its scans can be painted on without being labeled.
        organs: structures that its labels give; ``None``: not known.
        note: license, page, or what is wrong.
        folder: where its files lie.
    """

    source: str
    state: str
    volumes: int | None
    fetch: float | None = 0.0
    unpacked: float = 0.0
    pool: bool = True
    organs: frozenset[str] | None = None
    note: str = ""
    folder: Path = field(default_factory=Path)


@dataclass(frozen=True)
class Machine:
    """Resources; sizes in 10^9 bytes (infinite ``shared``: this system has no such thing), GPUs by name."""

    cores: int
    memory: float
    shared: float
    gpus: tuple[str, ...]


def inspect_source(source: Source) -> State:
    """State of a source; a mistake in it becomes a state, so that all sources are told at once."""
    try:
        check_source(source)
        return STATES[source.kind](source)
    except UserError as error:
        return State(source.name, WRONG, None, note=str(error))


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
    from freetumor.download.estimates import costs
    from freetumor.download.preflight_report import report

    states, machine = [inspect_source(source) for source in config.sources], inspect_machine()
    volumes = sum(state.volumes or 0 for state in states if state.state != MADE)
    pool = sum(state.volumes or 0 for state in states if state.pool)
    fetch, unpacked = sum(state.fetch or 0 for state in states), sum(state.unpacked for state in states)
    plan = stages(config, volumes, pool, fetch, unpacked, rate or costs()["download", "rate of the connection"])
    places = _places(states, plan)
    text = report(config, states, plan, machine, places, warnings_of(config, states, machine), duration, assumptions(plan))
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


def warnings_of(config: Config, states: list[State], machine: Machine) -> list[str]:
    """What does not stop a study but may spoil it."""
    lacking: dict[str, list[str]] = defaultdict(list)
    for state, source in zip(states, config.sources, strict=True):
        if state.organs is not None and getattr(source, "organ_labels", None) is None:
            lacking[", ".join(organ for organ in config.organs if organ not in state.organs)].append(state.source)
    found = [
        f"no masks of {organs} in {', '.join(names)}: there taught as background" for organs, names in lacking.items() if organs
    ]
    if config.compute.device == "cuda" and not machine.gpus:
        found.append("compute.device is cuda, but this machine shows no GPU: trainings must run on others")
    if machine.shared < SHARED_MEMORY:
        found.append(f"/dev/shm has {machine.shared:.1f} GB free: workers of loaders may fail")
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


def _structures(names: list[str]) -> frozenset[str]:
    return frozenset(organ_of(name) for name in names if not is_tumor(name))


def _phantom(source: PhantomSource) -> State:
    count = source.labeled + source.tumor_free + source.unlabeled
    return State(source.name, MADE, count, pool=source.split == "development")


def _roi_phantom(source: RoiPhantomSource) -> State:
    return State(source.name, MADE, sum(source.lesions.values()))


def _roi_folder(source: RoiFolderSource) -> State:
    return State(source.name, READY, None, folder=roi_folder.root_of(source))


def _folder(source: FolderSource) -> State:
    maps = [source.label_map, *(extra.label_map for extra in source.extra_labels)]
    names = [name for mapping in maps for name in mapping.values()]
    return State(
        source.name,
        READY,
        len(folder.index_folder(source)),
        pool=source.split == "development",
        organs=_structures([*names, *source.host_rule]),
        folder=folder.root_of(source),
    )


def _public(source: PublicSource) -> State:
    entry, place = public.entry_of_source(source), public.folder_of(source)
    share = min(1.0, source.limit / (entry.patients or entry.volumes)) if source.limit and entry.volumes else 1.0
    volumes = round(entry.volumes * share) if entry.volumes else source.limit
    listed = _listed(source)
    organs = _structures([*_names(entry), *source.host_rule, *(n for e in source.extra_labels for n in e.label_map.values())])
    terms = {"source": source.name, "pool": source.split == "development", "organs": organs, "folder": place}
    if listed is not None:
        told = [public.shortfall(entry, listed, source.limit), entry.license]
        return State(state=READY, volumes=listed, note="; ".join(filter(None, told)), **terms)
    if not entry.fetched:
        if public.is_present(place):
            rows = public.index_files(source)
            told = [public.shortfall(entry, len(rows), source.limit), public.unlabeled(entry, rows), entry.license]
            return State(state=READY, volumes=len(rows), note="; ".join([f"in {place}", *filter(None, told)]), **terms)
        return State(state=HAND, volumes=volumes, note=f"{entry.access}: {entry.page or entry.how} → {place}", **terms)
    state, note = _route(entry)
    separable = entry.commons is not None or bool(entry.patient)
    size = entry.gigabytes * (share if separable else 1.0) if entry.gigabytes else None
    if size is not None:
        size = max(size - _fetched(place), 0.0)
    return State(state=state, volumes=volumes, fetch=size, unpacked=_unpacked(entry), note=note, **terms)


def _route(entry: Entry) -> tuple[str, str]:
    """Whether the files can be fetched now: those of the commons need its index."""
    try:
        if entry.commons is not None:
            idc.find_index()
    except UserError as error:
        return PACKAGE, str(error)
    return FETCH, entry.license


def _names(entry: Entry) -> list[str]:
    """Structures that the labels of an entry give."""
    if entry.commons is not None:
        return [name for rule in entry.commons.labels for name in rule.segments.values()]
    maps = [entry.layout.label_map, *(extra["label_map"] for extra in entry.layout.extra_labels)]
    return [name for mapping in maps for name in mapping.values()]


def _unpacked(entry: Entry) -> float:
    """What unpacking adds; archives of compressed images are as large as what is in them."""
    return (entry.unpacked or entry.gigabytes or 0.0) if entry.archives else 0.0


def _fetched(place: Path) -> float:
    """10^9 bytes that earlier jobs fetched into the folder of a source, by its ledgers."""
    ledgers = [place / "ledger.tsv", *(place / "ledger").glob("*.tsv")]
    return sum(entry.bytes for ledger in ledgers for entry in read_ledger(ledger).values()) / 1e9


def _listed(source: PublicSource) -> int | None:
    """Number of cases of a source that was downloaded before, with the same limit, and whose files are still there."""
    table = Path("results/data") / source.name / "cases.csv"
    try:
        holds = read_json(table.with_name(public.MARK))["mark"] == public.mark_of(source)
    except (OSError, ValueError, LookupError, TypeError):
        holds = False
    if not holds or not table.is_file() or not public.is_present(public.folder_of(source)):
        return None
    with table.open(newline="", encoding="utf-8") as stream:
        return sum(1 for _ in csv.reader(stream)) - 1


STATES: dict[str, Callable[..., State]] = {
    "phantom": _phantom,
    "folder": _folder,
    "public": _public,
    "roi_phantom": _roi_phantom,
    "roi_folder": _roi_folder,
}
