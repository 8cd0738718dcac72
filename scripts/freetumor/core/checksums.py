"""Checksums of a finished study, written beside its results, to find out later whether they are still what was computed."""

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import UserError
from .files import read_json, sha256_file, write_json
from .progress import Progress
from .provenance import git_commit, installed_versions

NAME = "checksums.json"
SETTINGS = "config.yaml"
# What differs between two runs by nature: times, durations, machines, and what a job needs only while it works.
DIFFERS = re.compile(
    r"(^|/)(logs|benchmarks|checkpoints)/|\.log$|provenance\.json$|(^|/)\.|^(checksums\.json|costs\.(csv|html))$"
)


def results_of(folder: Path) -> Iterator[str]:
    """Paths of the results in ``folder``, relative to it, sorted; without what differs between runs by nature."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return (name for name in sorted(names) if not DIFFERS.search(name))


def record(folder: Path, seed: int) -> None:
    """Write the checksums of all results in ``folder``; a file of the same size and time as before is not read again."""
    path = folder / NAME
    known = read_json(path)["files"] if path.exists() else {}
    files = {}
    for name in results_of(folder):
        with contextlib.suppress(FileNotFoundError):  # replaced by a job that runs meanwhile
            stat = (folder / name).stat()
            entry = known.get(name, {})
            same = (entry.get("bytes"), entry.get("mtime_ns")) == (stat.st_size, stat.st_mtime_ns)
            files[name] = entry if same else _entry(folder / name)
    facts = {"commit": git_commit(), "versions": installed_versions(), "seed": seed}
    write_json(path, facts | {"finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "files": files})


def verify(folder: Path, against: Path | None = None) -> None:
    """Compute all checksums anew and print every file that differs, is missing, or was not there.

    Results that are newer than the study's own checksums were made by a run that was killed before its end: they are recorded.

    Args:
        folder: results of a study.
        against: checksums to compare with, for example those of the same study from another machine, whose settings of the
            machine may differ; by default its own.

    Raises:
        UserError: if there are no checksums, or something differs.
    """
    path = against or folder / NAME
    expected: Mapping[str, Any] = _read(path)
    names = [name for name in results_of(folder) if not (against and name == SETTINGS)]
    expected = {name: entry for name, entry in expected.items() if not (against and name == SETTINGS)}
    late = [] if against else [name for name in names if name not in expected and _newer(folder / name, path)]
    names = [name for name in names if name not in late]
    missing, extra = sorted(set(expected) - set(names)), sorted(set(names) - set(expected))
    progress = Progress("verify", len(names), "file")
    changed = []
    for name in names:
        if name in expected and sha256_file(folder / name) != expected[name]["sha256"]:
            changed.append(name)
        progress.advance()
    for what, found in (("differs", changed), ("is missing", missing), ("was not there", extra)):
        for name in found:
            print(f"{what}: {name}")
    if changed or missing or extra:
        raise UserError(
            f"{path}: {len(changed)} of {len(expected)} results differ, {len(missing)} are missing, {len(extra)} were not there"
        )
    print(f"{len(names)} results are what {path} says")
    if late:
        facts = read_json(path)
        write_json(path, facts | {"files": facts["files"] | {name: _entry(folder / name) for name in late}})
        print(f"{len(late)} results are newer than that and are recorded now: {', '.join(late[:5])}{' …' * (len(late) > 5)}")


def _entry(path: Path) -> dict[str, Any]:
    stat = path.stat()
    return {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": sha256_file(path)}


def _newer(path: Path, other: Path) -> bool:
    return path.stat().st_mtime_ns > other.stat().st_mtime_ns


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return read_json(path)["files"]
    except (OSError, ValueError, LookupError, TypeError):
        raise UserError(f"{path}: expected the checksums of a finished study, which a complete run writes") from None
