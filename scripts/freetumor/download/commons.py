"""Fetch a source from NCI's Imaging Data Commons: labels first, then the CT series that they belong to, series by series.

Files come anonymously from the object storage that the index names, one folder per series. ``series.csv`` beside the table
of cases says for each series of the study under which license it is, and where it is from.
"""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from freetumor.core.config import PublicSource
from freetumor.core.config_downloads import DownloadSettings
from freetumor.core.errors import UserError
from freetumor.core.files import atomic
from freetumor.core.labels import is_tumor
from freetumor.core.progress import Progress
from freetumor.download.catalog import Entry
from freetumor.download.folder import case_id_of
from freetumor.download.idc import (
    Label,
    LabelRule,
    Pair,
    Series,
    choose_images,
    choose_labels,
    find_index,
    pairs_of,
    read_series,
    structures_of,
    with_references,
)
from freetumor.download.segments import ReadLabel, read_label

FACTS = ("patient", "modality", "license", "doi", "study", "uid", "description", "slices", "megabytes")


def fetch_commons(
    source: PublicSource, entry: Entry, folder: Path, settings: DownloadSettings, record: Path
) -> list[dict[str, Any]]:
    """Fetch what an entry takes of the commons; return the rows of the table of raw cases.

    Args:
        source: the source; ``limit`` counts patients that have what the entry asks for.
        entry: its entry, with ``commons``.
        folder: where its files lie.
        settings: how to fetch.
        record: table of the series that are used (CSV), to write.

    Raises:
        UserError: if the index is missing, a file cannot be fetched, or nothing is left.
    """
    query = entry.commons
    series = read_series(find_index(), query)
    labels: list[Label] = []
    contents: dict[str, ReadLabel] = {}
    if query.labels:
        labels = choose_labels(series, query, source.limit)
        fetch_series([label.series for label in labels], folder, settings, f"{source.name} labels")
        contents = {label.series.uid: _read(folder / folder_of_series(label.series)) for label in labels}
        labels = with_references(labels, lambda label: contents[label.series.uid].image)
        pairs = pairs_of(series, labels, query)
        _tell_lost(source.name, labels, pairs)
    else:
        pairs = choose_images(series, query, source.limit)
    if not pairs:
        raise UserError(f"sources.{source.name}: no CT of {entry.name} has all the labels that the catalog asks for")
    fetch_series([pair.image for pair in pairs], folder, settings, f"{source.name} images")
    annotated = "pool" not in entry.roles if source.tumors_annotated is None else source.tumors_annotated
    rows = [_row(source, pair, folder, contents, annotated, query.per_patient) for pair in pairs]
    _write_series(zip(rows, pairs, strict=True), record)
    _tell_segments(source.name, pairs, contents)
    return rows


def folder_of_series(series: Series) -> str:
    """Folder of a series below that of the source: the patient, and a short hash of the series' UID."""
    return f"{case_id_of(series.patient)}/{hashlib.sha256(series.uid.encode()).hexdigest()[:12]}"


def fetch_series(series: Sequence[Series], folder: Path, settings: DownloadSettings, label: str) -> None:
    """Fetch the files of the series, each into its own folder; its list and ledger lie in ``ledger/``.

    One series is listed and fetched after the other, several files at once: a list of the millions of files of a large
    collection would not fit into memory.
    """
    from freetumor.download.transfer.listings import list_once
    from freetumor.download.transfer.transfer import transfer

    progress = Progress(label, len(series), "folder")
    for item in series:
        own, address = folder_of_series(item), urlsplit(item.url)
        question = {"bucket": address.netloc, "prefix": address.path.strip("/").partition("/")[0] + "/"}
        book = folder / "ledger" / own.replace("/", "-")
        files = list_once("s3", question, settings, book.with_name(f"{book.name}.json"))
        transfer(files, folder / own, book.with_name(f"{book.name}.tsv"), settings, f"{label} {own}")
        progress.advance()


def _read(folder: Path) -> ReadLabel:
    """The first file of a label series (these series have one)."""
    paths = sorted(folder.glob("*.dcm"))
    if not paths:
        raise UserError(f"{folder}: no DICOM file was fetched for this series")
    return read_label(paths[0])


def _row(
    source: PublicSource, pair: Pair, folder: Path, contents: Mapping[str, ReadLabel], annotated: bool, per_patient: int
) -> dict[str, Any]:
    own = folder_of_series(pair.image)
    entries = [
        {"path": contents[label.series.uid].path.as_posix(), "map": _map(label.rule, contents[label.series.uid])}
        for label in pair.labels
    ]
    tumors = any(is_tumor(name) for label in pair.labels for name in label.rule.segments.values())
    patient = case_id_of(pair.image.patient)
    return {
        "case_id": patient if per_patient == 1 else case_id_of(own.replace("/", "-")),
        "patient_id": patient,
        "source": source.name,
        "domain": source.domain,
        "image": (folder / own).as_posix(),
        "labels": json.dumps(entries),
        "labeled": annotated and tumors,
        "category": "",
        "region": "",
    }


def _map(rule: LabelRule, content: ReadLabel) -> dict[str, str]:
    """What the segments of a file mean. If none is known, the rule stands there itself: the reader then refuses the file."""
    return structures_of(content.names, rule.segments) or dict(rule.segments)


def _write_series(chosen: Iterable[tuple[Mapping[str, Any], Pair]], path: Path) -> None:
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["case_id", *FACTS, "folder"])
        writer.writeheader()
        for row, pair in chosen:
            for series in (pair.image, *(label.series for label in pair.labels)):
                facts = {name: getattr(series, name) for name in FACTS}
                writer.writerow({"case_id": row["case_id"], **facts, "folder": folder_of_series(series)})


def _tell_lost(name: str, labels: Sequence[Label], pairs: Sequence[Pair]) -> None:
    used = {label.series.uid for pair in pairs for label in pair.labels}
    lost = [label for label in labels if label.series.uid not in used]
    unknown = sum(not label.image for label in lost)
    if lost:
        print(f"{name}: {len(lost)} of {len(labels)} label series are not used; of {unknown} nothing tells the CT series")


def _tell_segments(name: str, pairs: Sequence[Pair], contents: Mapping[str, ReadLabel]) -> None:
    """What each name of a segment was taken for: the map is by words, so a person should look at it once."""
    counts: Counter[tuple[str, str]] = Counter()
    for pair in pairs:
        for label in pair.labels:
            names = contents[label.series.uid].names
            known = structures_of(names, label.rule.segments)
            counts.update((segment, known.get(segment, "ignored")) for segment in names)
    for (segment, structure), count in sorted(counts.items(), key=lambda item: (item[0][1] == "ignored", -item[1], item[0])):
        print(f"{name}: segment '{segment}' in {count} files: {structure}")
