"""What is known of a source before its job runs: ready, to fetch, to be fetched by hand, or wrong."""

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from freetumor.core.config import FolderSource, PhantomSource, PublicSource, RoiFolderSource, RoiPhantomSource, Source
from freetumor.core.errors import UserError
from freetumor.core.files import read_json
from freetumor.core.labels import is_tumor, organ_of
from freetumor.download import folder, idc, public, roi_folder
from freetumor.download.catalog import Entry
from freetumor.download.sources import check_source
from freetumor.download.transfer.ledger import read_ledger

READY, MADE, FETCH, HAND, PACKAGE, WRONG = "ready", "made in code", "to fetch", "fetch by hand", "needs a package", "wrong"


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


def inspect_source(source: Source) -> State:
    """State of a source; a mistake in it becomes a state, so that all sources are told at once."""
    try:
        check_source(source)
        return STATES[source.kind](source)
    except UserError as error:
        return State(source.name, WRONG, None, note=str(error))


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
