"""Sources of the catalog: fetched where anyone may have the files, told how to get and checked where not, and then indexed."""

import fnmatch
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from freetumor.core.config import Config, PublicSource
from freetumor.core.config_downloads import DownloadSettings
from freetumor.core.errors import UserError
from freetumor.core.files import sha256_json, write_json
from freetumor.core.tables import RAW_CASES, make_table, write_table
from freetumor.download.catalog import ACCESS, LIMITS, Entry, entry_of
from freetumor.download.folder import check_structures, expand, index_folder

COMPLETE = 0.98  # share of the stated volumes from which on nothing is said
MARK = "taken.json"  # beside the table of cases: what it was made of
VARIABLE = re.compile(r"\$\{?(\w+)")


def entry_of_source(source: PublicSource) -> Entry:
    """The entry of the catalog that a source takes its files from.

    Raises:
        UserError: if there is none.
    """
    return entry_of(source.entry or source.name, f"sources.{source.name}.{'entry' if source.entry else 'name'}")


def folder_of(source: PublicSource) -> Path:
    """The folder of the files of a source.

    Raises:
        UserError: if a variable in its name is not set; a folder of that very name would be made.
    """
    folder = expand(source.root.replace("{entry}", entry_of_source(source).name))
    if unset := VARIABLE.search(folder):
        raise UserError(
            f"sources.{source.name}.root: the variable {unset[1]} is not set (export {unset[1]}=/folder/of/the/data)"
        )
    return Path(folder)


def check_source(source: PublicSource) -> None:
    """Check what the configuration says of a source; whether its files are there is seen when it is downloaded.

    Raises:
        UserError: naming the key and what was expected.
    """
    entry = entry_of_source(source)
    folder_of(source)
    if not entry.described:
        raise UserError(
            f"sources.{source.name}: how to read the files of '{entry.name}' is not described in the catalog; convert them as "
            "docs/data.md says and use a source of kind folder"
        )
    if source.extra_labels and entry.commons is not None:
        raise UserError(f"sources.{source.name}.extra_labels: the files of '{entry.name}' are DICOM series, found by an index")


def surroundings(source: PublicSource) -> str:
    """What decides on the cases beside the keys of the source: its entry, and the folder that variables stand for."""
    return entry_of_source(source).model_dump_json() + str(folder_of(source))


def mark_of(source: PublicSource) -> str:
    """Tells a table of cases that holds for a source from one that was made of fewer patients, or of other files."""
    return sha256_json([surroundings(source), source.limit])


def is_present(folder: Path) -> bool:
    """Whether there is anything in the folder of a source."""
    return folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())


def download_public(config: Config, source: PublicSource, output: Path) -> None:
    """Fetch or check the files of a source, and write its table of raw cases.

    Raises:
        UserError: if files are missing, cannot be fetched or are not what the catalog says.
    """
    check_source(source)
    entry, folder = entry_of_source(source), folder_of(source)
    try:
        rows = _cases(config, source, entry, folder, output.with_name("series.csv"))
    except OSError as error:
        reason = f"{error.filename or folder} cannot be read or written ({error.strerror or 'the disk failed'})"
        raise UserError(f"sources.{source.name}: {reason}") from error
    write_json(output.with_name(MARK), {"mark": mark_of(source)})
    write_table(make_table(rows, RAW_CASES), output)
    annotated = sum(row["labeled"] for row in rows)
    print(f"{source.name}: {len(rows)} cases, {annotated} with annotated tumors; license: {entry.license or 'not known'}")
    for warning in filter(None, (shortfall(entry, len(rows), source.limit), unlabeled(entry, rows))):
        print(f"{source.name}: {warning}")


def _cases(config: Config, source: PublicSource, entry: Entry, folder: Path, record: Path) -> list[dict[str, Any]]:
    """Rows of the table of raw cases; ``record`` takes what is known of each series of the commons."""
    if entry.commons is not None:
        from freetumor.download.commons import fetch_commons

        return fetch_commons(source, entry, folder, config.downloads, record)
    if entry.fetched:
        _fetch(source, entry, folder, config.downloads)
    elif not is_present(folder):
        print(instructions(entry, folder.resolve()), file=sys.stderr, flush=True)
        raise UserError(f"sources.{source.name}: {folder} has no files of '{entry.name}'; the lines above say how to get them")
    _unpack(entry, folder)
    return index_files(source, config.organs)


def index_files(source: PublicSource, organs: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Rows of the table of raw cases, of the files that lie in the folder of a source.

    Args:
        source: the source; not of the commons.
        organs: of the study, to find typing errors in the label maps.

    Raises:
        UserError: if the files are not what the catalog says.
    """
    entry = entry_of_source(source)
    keys = {"extra_labels": [*entry.layout.extra_labels, *(item.model_dump() for item in source.extra_labels)]}
    if source.tumors_annotated is not None:
        keys["tumors_annotated"] = source.tumors_annotated
    files = entry.folder_source(source.name, folder_of(source), domain=source.domain, **keys)
    try:
        if organs:
            check_structures(files, organs)
        rows = first_patients(index_folder(files), source.limit)
    except UserError as error:
        raise UserError(f"{error}; this is how the catalog describes '{entry.name}', see docs/data.md") from error
    _check_sizes(rows)
    return rows


def first_patients(rows: Sequence[dict[str, Any]], limit: int | None) -> list[dict[str, Any]]:
    """The cases of the first patients by name; all if ``limit`` is ``None``."""
    kept = set(sorted({row["patient_id"] for row in rows})[:limit])
    return [row for row in rows if row["patient_id"] in kept]


def shortfall(entry: Entry, found: int, limit: int | None) -> str:
    """A sentence if fewer volumes were found than the catalog states; else nothing."""
    if entry.volumes is None or limit is not None or found >= COMPLETE * entry.volumes:
        return ""
    return f"the catalog states {entry.volumes} volumes, {found} were found; is the copy complete?"


def unlabeled(entry: Entry, rows: Sequence[dict[str, Any]]) -> str:
    """A sentence if some, but not all, images have a label file although the source labels all; else nothing."""
    without = sum(row["labels"] == "[]" for row in rows)
    if entry.layout is None or entry.layout.labels is None or not 0 < without < len(rows):
        return ""
    return f"{without} of {len(rows)} images have no label file ({entry.layout.labels}); is the copy complete?"


def instructions(entry: Entry, folder: Path) -> str:
    """What to fetch by hand: from where, under which terms, into which folder, and what is then expected there."""
    limits = "; ".join(LIMITS[limit] for limit in entry.limits)
    layout = [entry.layout.images, f"labels {entry.layout.labels}" if entry.layout.labels else ""] if entry.layout else []
    lines = {
        "what": entry.title + (f", {entry.version}" if entry.version else ""),
        "from": entry.page or "no page is known",
        "access": f"{entry.access}: {ACCESS[entry.access]}",
        "license": (entry.license or "not known: read the page") + (f" ({limits})" if limits else ""),
        "do": entry.how,
        "into": str(folder),
        "expected": ", ".join(filter(None, [*layout, f"{entry.volumes} volumes" if entry.volumes else ""])),
    }
    block = [f"{key:>10}  {text}" for key, text in lines.items() if text]
    return "\n".join([f"{entry.name} has to be fetched by hand:", *block])


def _fetch(source: PublicSource, entry: Entry, folder: Path, settings: DownloadSettings) -> None:
    from freetumor.download.archives import check_target
    from freetumor.download.transfer.listings import list_once
    from freetumor.download.transfer.transfer import transfer

    question = dict(entry.listing or {"kind": "https", "files": repeated(entry)})
    files = list_once(question.pop("kind"), question, settings, folder / ".list.json")
    chosen = of_first_patients([file.path for file in files], entry.patient, source.limit)
    if source.limit and not entry.patient:
        print(f"{source.name}: the files of single patients cannot be told apart before they are here; all are fetched")
    for file in files:
        if any(fnmatch.fnmatchcase(file.path, pattern) for pattern in entry.archives):
            check_target(file.path, _unpacked(folder, file.path))  # before gigabytes are fetched
    transfer([file for file in files if file.path in chosen], folder, folder / "ledger.tsv", settings, source.name)


def repeated(entry: Entry) -> list[dict[str, str]]:
    """The explicit list of files that an entry states by ranges of numbers."""
    if entry.repeat is None:
        raise ValueError(f"{entry.name} has no list of files")
    numbers = [number for low, high in entry.repeat.ranges for number in range(low, high + 1)]
    files = entry.repeat.files
    return [{key: text.format(number=number) for key, text in file.items()} for number in numbers for file in files]


def of_first_patients(paths: Sequence[str], pattern: str, limit: int | None) -> set[str]:
    """Paths of the first patients by name, and those that belong to none.

    Args:
        paths: all paths.
        pattern: regular expression whose group is the patient; empty: all paths are taken.
        limit: number of patients; all if ``None``.
    """
    if not pattern or limit is None:
        return set(paths)
    matches = {path: re.search(pattern, path) for path in paths}
    patients = {path: match[1] for path, match in matches.items() if match}
    kept = set(sorted(set(patients.values()))[:limit])
    return {path for path in paths if path not in patients or patients[path] in kept}


def _unpack(entry: Entry, folder: Path) -> None:
    from freetumor.download.archives import unpack
    from freetumor.download.transfer.turns import alone

    archives = [archive for pattern in entry.archives for archive in sorted(folder.glob(pattern))]
    if archives:
        with alone(folder):
            for archive in archives:
                unpack(archive, _unpacked(folder, archive.name))


def _unpacked(folder: Path, archive: str) -> Path:
    """Where an archive of a source is unpacked to."""
    return folder / archive.partition(".")[0]


def _check_sizes(rows: Sequence[dict[str, Any]]) -> None:
    """Raise a :class:`UserError` for an image file without a byte: a transfer by hand that broke off."""
    for row in rows:
        path = Path(row["image"])
        if path.is_file() and path.stat().st_size == 0:
            raise UserError(f"{path}: the file is empty; fetch it again")
