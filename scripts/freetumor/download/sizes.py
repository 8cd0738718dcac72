"""How many scans a source has, as far as it is known: by its table of cases, its configuration or the catalog."""

import csv
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from freetumor.core.config import Config, FolderSource, PhantomSource, PublicSource, RoiPhantomSource, Source
from freetumor.core.known_costs import costs
from freetumor.core.needs import Study
from freetumor.core.scans import Scans, expected_scans, fold_scans, source_scans
from freetumor.download import public


def study_of(config: Config, results: Path = Path("results"), counted: Mapping[str, int] | None = None) -> Study:
    """What the needs of the jobs of a study are computed from: fold tables that are there, else what is expected of them.

    Args:
        config: the study.
        results: folder of all results.
        counted: scans of sources that were counted, by name.
    """

    def source(name: str) -> Scans:
        entry = config.source(name)
        count = (counted or {}).get(name) or count_scans(entry, results)
        return source_scans(config, entry, count, unlabeled_scans(entry, count))

    def fold(number: int) -> Scans:
        found = fold_scans(results / config.study / f"fold{number}" / "cases.parquet")
        return found or expected_scans(config, [source(entry.name) for entry in config.sources])

    return Study(config, fold, source)


def count_scans(source: Source, results: Path = Path("results")) -> int:
    """Scans of a source; of a folder that nobody has indexed yet, what ``costs.csv`` assumes. No file of it is looked at."""
    table = results / "data" / source.name / "cases.csv"
    try:
        return _rows(str(table), table.stat().st_mtime_ns)
    except OSError:
        return _planned(source)


def unlabeled_scans(source: Source, count: int) -> int:
    """Of the scans of a source, those whose tumors nobody annotated, as far as that is known beforehand."""
    if isinstance(source, PhantomSource):
        return min(source.unlabeled, count)
    annotated = True
    if isinstance(source, FolderSource):
        annotated = source.labels is not None and source.tumors_annotated
    if isinstance(source, PublicSource):
        entry = public.entry_of_source(source)
        usual = entry.layout is None or entry.layout.tumors_annotated
        annotated = bool(entry.tumors) and (usual if source.tumors_annotated is None else source.tumors_annotated)
    return 0 if annotated else count


def _planned(source: Source) -> int:
    if isinstance(source, PhantomSource):
        return source.labeled + source.tumor_free + source.unlabeled
    if isinstance(source, RoiPhantomSource):
        return sum(source.lesions.values())
    unknown = round(costs()["scans", "of a folder that is not indexed"])
    if not isinstance(source, PublicSource):
        return unknown
    entry = public.entry_of_source(source)
    if source.limit is None:
        return entry.volumes or unknown
    return round(source.limit * max((entry.volumes or 0) / entry.patients, 1.0)) if entry.patients else source.limit


@lru_cache(maxsize=256)
def _rows(path: str, _: int) -> int:
    """Rows of a table of cases, of this modification time."""
    with Path(path).open(newline="", encoding="utf-8") as stream:
        return sum(1 for _ in csv.reader(stream)) - 1
