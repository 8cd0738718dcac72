"""Files of an analytic cohort: made case by case in as many processes as wanted, and kept if they are there unchanged."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freetumor.core.code import closure
from freetumor.core.files import atomic, read_json, sha256_file, sha256_json, write_json
from freetumor.core.progress import Progress
from freetumor.core.workers import process_pool


@dataclass(frozen=True)
class Made:
    """The content of each file of a case, by kind (``image``, ``label``), and facts for its record."""

    files: Mapping[str, bytes]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """One case: a JSON key of all that it depends on beside the settings of its cohort, and what makes it."""

    key: Any
    make: Callable[[], Made]


def file_of(folder: Path, kind: str, case_id: str) -> Path:
    """Path of a file of a case: ``images/<case>.nii.gz``, ``labels/<case>.nii.gz``."""
    return folder / f"{kind}s" / f"{case_id}.nii.gz"


def make_cohort(
    label: str, folder: Path, settings: Any, tasks: Mapping[str, Task], workers: int, module: str
) -> dict[str, dict[str, Any]]:
    """Make the files of all cases, unless valid ones are there.

    Args:
        label: text of the progress.
        folder: of the files (see :func:`file_of`) and of the sidecars ``records/<case>.json``.
        settings: JSON key of the cohort; other settings, other files.
        tasks: by case id.
        workers: processes; the result does not depend on them.
        module: path of the module whose code makes the cases; another version of it makes them anew.

    Returns:
        The record of each case: ``fingerprint``, ``sha256`` of each file, and its facts.
    """
    here = Path(module).resolve()
    code = [sha256_file(path) for path in closure(here) if path.parent == here.parent]
    progress = Progress(label, len(tasks), "case")
    keys = {case_id: sha256_json([code, settings, task.key]) for case_id, task in tasks.items()}
    records = {}
    for case_id, record in _run(tasks, keys, folder, workers):
        records[case_id] = record
        progress.advance()
    return records


def _run(
    tasks: Mapping[str, Task], keys: Mapping[str, str], folder: Path, workers: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield id and record of each case as it is done, in this process for one worker."""
    if workers <= 1:
        yield from ((case_id, _make_files(task, folder, case_id, keys[case_id])) for case_id, task in tasks.items())
        return
    with process_pool(workers) as pool:
        waiting = {pool.submit(_make_files, task, folder, name, keys[name]): name for name, task in tasks.items()}
        yield from ((waiting[future], future.result()) for future in as_completed(waiting))


def _make_files(task: Task, folder: Path, case_id: str, fingerprint: str) -> dict[str, Any]:
    """Write the files of a case and a sidecar with their hashes, unless valid ones are there; return the sidecar."""
    sidecar = folder / "records" / f"{case_id}.json"
    kept = _valid_record(sidecar, folder, case_id, fingerprint)
    if kept is not None:
        return kept
    made = task.make()
    hashes = {}
    for kind, content in made.files.items():
        path = file_of(folder, kind, case_id)
        with atomic(path) as temporary:
            temporary.write_bytes(content)
        hashes[kind] = sha256_file(path)
    record = {"fingerprint": fingerprint, "sha256": hashes, **made.facts}
    write_json(sidecar, record)
    return record


def _valid_record(sidecar: Path, folder: Path, case_id: str, fingerprint: str) -> dict[str, Any] | None:
    """The record of an earlier run, if nothing that it depends on has changed, nor its files."""
    try:
        record = read_json(sidecar)
        if record["fingerprint"] != fingerprint:
            return None
        hashes = record["sha256"].items()
        unchanged = all(sha256_file(file_of(folder, kind, case_id)) == value for kind, value in hashes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if unchanged else None
