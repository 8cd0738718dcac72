"""NCI's Imaging Data Commons: which series of a collection a source takes, chosen from the published index, offline.

The package ``idc-index-data`` carries the whole index as one Parquet file of a million series; it is read in batches and
filtered at once, so that memory grows with what is chosen. Labels are DICOM SEG or RTSTRUCT series; which CT series a label
belongs to is told by the label itself (DICOM PS3.3, C.7.6.16 and C.8.8.5), and before it is fetched by what the index says.
"""

import importlib.util
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from freetumor.core.config_parts import Section
from freetumor.core.errors import UserError

INDEX_VARIABLE = "FREETUMOR_IDC_INDEX"
PACKAGE = "idc_index_data"
COLUMNS = {
    "PatientID": "patient",
    "StudyInstanceUID": "study",
    "StudyDate": "date",
    "SeriesInstanceUID": "uid",
    "SeriesNumber": "number",
    "Modality": "modality",
    "SeriesDescription": "description",
    "analysis_result_id": "analysis",
    "instanceCount": "slices",
    "series_size_MB": "megabytes",
    "license_short_name": "license",
    "source_DOI": "doi",
    "series_aws_url": "url",
}
BATCH = 100_000  # rows of the index that are held at once


@dataclass(frozen=True, slots=True)
class Series:
    """A DICOM series of the index; original data has an empty ``analysis``; ``megabytes`` are 10^6 bytes."""

    patient: str
    study: str
    date: str
    uid: str
    number: str
    modality: str
    description: str
    analysis: str
    slices: int
    megabytes: float
    license: str
    doi: str
    url: str


class LabelRule(Section):
    """Which label series of a collection are taken, and what their segments mean.

    Attributes:
        modality: ``SEG`` or ``RTSTRUCT``.
        analysis: result that the series belongs to, as in the index; empty: labels published with the images.
        description: regular expression that the description of the series contains.
        image_number: regular expression whose group is the number of the CT series, found in the description.
        segments: from a regular expression, found in the name of a segment whatever its case, to a structure or
            ``background``; the first that is found counts, and segments without any are ignored.
        required: whether a CT without such a label is left out.
    """

    modality: str
    analysis: str = ""
    description: str = ""
    image_number: str = ""
    segments: dict[str, str]
    required: bool = True


class Query(Section):
    """What a source takes of a collection.

    Attributes:
        collection: its name in the index.
        labels: rules for label series; a label that several rules fit is taken by the first.
        image: regular expression in the description of the CT series, used where nothing else says which one is meant.
        slices: CT series with fewer images (scouts, single slices) are left out.
        per_patient: CT series per patient: of the earliest studies, those with most slices.
    """

    collection: str
    labels: tuple[LabelRule, ...] = ()
    image: str = ""
    slices: int = 20
    per_patient: int = 1


@dataclass(frozen=True)
class Label:
    """A label series, the rule that takes it, and the CT series it belongs to (empty: not known before it is read)."""

    series: Series
    rule: LabelRule
    image: str


@dataclass(frozen=True)
class Pair:
    """A CT series with its labels."""

    image: Series
    labels: tuple[Label, ...]


def find_index() -> Path:
    """The index: the file that ``FREETUMOR_IDC_INDEX`` names, or that of the installed package.

    Raises:
        UserError: if there is none.
    """
    if named := os.environ.get(INDEX_VARIABLE):
        if not Path(named).is_file():
            raise UserError(
                f"{INDEX_VARIABLE}: {named} not found; expected the Parquet file of an index of the Imaging Data Commons"
            )
        return Path(named)
    package = importlib.util.find_spec(PACKAGE)
    folders = package.submodule_search_locations if package else None
    path = Path(next(iter(folders), "")) / "idc_index.parquet" if folders else Path()
    if not path.is_file():
        raise UserError(
            "the package idc-index-data is missing; install it with: .venv/bin/pip install --no-deps idc-index-data"
        )
    return path


def read_series(index: Path, query: Query) -> list[Series]:
    """CT and label series of a collection that a query could take, by patient, date, study and UID.

    Args:
        index: the Parquet file.
        query: what is wanted.

    Raises:
        UserError: if the index has no such collection, or is no such index.
    """
    found = sorted(_rows(index, query), key=lambda item: (item.patient, item.date, item.study, item.uid))
    if not found:
        raise UserError(f"{index}: no CT of the collection '{query.collection}' in this version of the index")
    return found


def _rows(index: Path, query: Query) -> Iterator[Series]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    modalities = pa.array(sorted({"CT"} | {rule.modality for rule in query.labels}))
    try:
        file = pq.ParquetFile(index)
        for batch in file.iter_batches(BATCH, columns=["collection_id", *COLUMNS]):
            mine = batch.filter(pc.equal(batch["collection_id"], query.collection))
            mine = mine.filter(pc.is_in(mine["Modality"], modalities))
            for row in mine.to_pylist():
                series = Series(**{name: _value(row[column], name) for column, name in COLUMNS.items()})
                if series.slices >= query.slices if series.modality == "CT" else _rule_of(series, query) is not None:
                    yield series
    except (pa.ArrowException, OSError, KeyError) as error:
        raise UserError(f"{index}: not an index of the Imaging Data Commons ({type(error).__name__})") from error


def _value(value: Any, name: str) -> Any:
    if name in ("slices", "megabytes"):
        return value or 0
    return "" if value is None else str(value)


def _rule_of(series: Series, query: Query) -> LabelRule | None:
    """The first rule that a label series fits."""
    for rule in query.labels:
        same = (series.modality, series.analysis) == (rule.modality, rule.analysis)
        if same and re.search(rule.description, series.description):
            return rule
    return None


def choose_labels(series: Sequence[Series], query: Query, limit: int | None = None) -> list[Label]:
    """Label series to fetch, of the first patients that have any.

    Where the index tells the CT series that the labels of a patient belong to, only labels of those that will be used are
    taken; else all of the patient's earliest study that has all required ones.

    Args:
        series: as from :func:`read_series`.
        query: what is wanted.
        limit: number of patients, the first by name; all if ``None``.
    """
    chosen: list[Label] = []
    patients = 0
    for own in _by_patient(series):
        if patients == limit:
            break
        labels = _labels_of(own, query)
        kept = [label for pair in pairs_of(own, labels, query) for label in pair.labels] or _first_study(labels, query)
        if kept:
            patients += 1
            chosen += kept
    return chosen


def _first_study(labels: Sequence[Label], query: Query) -> list[Label]:
    """The labels of the earliest study of a patient that has all required ones."""
    studies: dict[tuple[str, str], list[Label]] = defaultdict(list)
    for label in labels:
        studies[label.series.date, label.series.study].append(label)
    return next((studies[key] for key in sorted(studies) if _complete(studies[key], query)), [])


def _complete(labels: Iterable[Label], query: Query) -> bool:
    """Whether there is a label of each required rule."""
    present = [label.rule for label in labels]
    return all(rule in present for rule in query.labels if rule.required)


def choose_images(series: Sequence[Series], query: Query, limit: int | None = None) -> list[Pair]:
    """CT series to fetch of a collection without labels, of the first ``limit`` patients by name."""
    pairs = (_first([Pair(image, ()) for image in _images(own, query)], query) for own in _by_patient(series))
    return [pair for chosen in list(filter(None, pairs))[:limit] for pair in chosen]


def pairs_of(series: Sequence[Series], labels: Iterable[Label], query: Query) -> list[Pair]:
    """CT series of which all required labels are there, at most ``per_patient`` of each patient.

    Args:
        series: CT series among others.
        labels: labels whose CT series is known; others are left out.
        query: what is wanted.
    """
    images = {item.uid: item for item in series if item.modality == "CT"}
    groups: dict[str, list[Label]] = defaultdict(list)
    for label in labels:
        if label.image in images:
            groups[label.image].append(label)
    patients: dict[str, list[Pair]] = defaultdict(list)
    for uid, group in groups.items():
        if _complete(group, query):
            ordered = sorted(group, key=lambda label: label.series.uid)
            patients[images[uid].patient].append(Pair(images[uid], tuple(ordered)))
    return [pair for patient in sorted(patients) for pair in _first(patients[patient], query)]


def with_references(labels: Iterable[Label], reference: Callable[[Label], str]) -> list[Label]:
    """The labels with the CT series that they refer to themselves; where one refers to none, what the index said stays.

    Args:
        labels: as from :func:`choose_labels`.
        reference: from a label to the UID of its CT series, or an empty text.
    """
    return [replace(label, image=reference(label) or label.image) for label in labels]


def structures_of(names: Iterable[str], segments: Mapping[str, str]) -> dict[str, str]:
    """From the segments of a file to structures, by the first expression of a rule that is found in each name."""
    found = {}
    for name in names:
        match = next((structure for pattern, structure in segments.items() if re.search(pattern, name, re.IGNORECASE)), None)
        if match is not None:
            found[name] = match
    return found


def _by_patient(series: Sequence[Series]) -> Iterator[list[Series]]:
    groups: dict[str, list[Series]] = defaultdict(list)
    for item in series:
        groups[item.patient].append(item)
    return (groups[patient] for patient in sorted(groups))


def _labels_of(series: Sequence[Series], query: Query) -> list[Label]:
    """Label series of a patient, with the CT series that the index tells."""
    labels = []
    for item in series:
        rule = _rule_of(item, query) if item.modality != "CT" else None
        images = [other for other in series if other.modality == "CT" and other.study == item.study]
        if rule is not None and images:
            labels.append(Label(item, rule, _guess(item, rule, images, query)))
    return labels


def _guess(label: Series, rule: LabelRule, images: Sequence[Series], query: Query) -> str:
    """UID of the CT series of a label, if its number, the only description that fits, or the only series tells it."""
    if rule.image_number and (match := re.search(rule.image_number, label.description)):
        images = [image for image in images if image.number == match[1]]
    elif query.image and len(images) > 1:
        images = [image for image in images if re.search(query.image, image.description)]
    return images[0].uid if len(images) == 1 else ""


def _images(series: Sequence[Series], query: Query) -> list[Series]:
    return [item for item in series if item.modality == "CT" and re.search(query.image, item.description)]


def _first(pairs: Iterable[Pair], query: Query) -> list[Pair]:
    """The pairs of a patient that are used: of the earliest study first, and in it those with most slices."""

    def order(pair: Pair) -> tuple[str, str, int, str]:
        return pair.image.date, pair.image.study, -pair.image.slices, pair.image.uid

    return sorted(pairs, key=order)[: query.per_patient]
