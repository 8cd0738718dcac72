"""Bring a list of files to a folder: what is there and right is left alone, the rest is fetched, several at once."""

import os
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from freetumor.core.config_downloads import DownloadSettings
from freetumor.core.errors import UserError
from freetumor.core.progress import format_bytes

from .fetch import Fetcher, is_present_at_once
from .http import Client
from .ledger import Ledger
from .meter import Meter
from .part import part_path
from .remote import RemoteFile

MOST_FAILURES = 10  # then no further file is begun: something is wrong with the host or the connection


def transfer(files: Sequence[RemoteFile], folder: Path, ledger: Path, settings: DownloadSettings, label: str) -> list[Path]:
    """Fetch files into a folder.

    A file under its final name is complete and has the right hash: the published one, or the one of the ledger, or, on first
    use, any (the ledger then says ``unverified``). A file that is there and unchanged since the ledger recorded it is not read
    again. A transfer that was killed goes on with the next call, in the middle of a file where the server allows it.

    Args:
        files: what to fetch; no two have the same path.
        folder: where to put it.
        ledger: table (TSV) that a row is added to for each file; see ``ledger.Entry``.
        settings: how to fetch.
        label: what is fetched, for progress and errors.

    Returns:
        Paths of the files, in the order of ``files``.

    Raises:
        UserError: one line that names the file, if one cannot be fetched, has a wrong hash (it is kept as ``<name>.bad``), or
            does not fit on the disk; or if files are missing and ``offline`` is set. Files fetched until then stay.
    """
    folder, book = Path(folder), Ledger(ledger)
    targets = _targets(files, folder)
    todo = [
        (remote, target) for remote, target in zip(files, targets, strict=True) if not is_present_at_once(remote, target, book)
    ]
    if todo:
        absent = [(remote, target) for remote, target in todo if not os.path.lexists(target)]
        if settings.offline and absent:
            raise UserError(f"{label}: downloads.offline is true, but {_some([str(target) for _, target in absent])} missing")
        _check_space(absent, folder, label)
        _fetch_all(todo, folder, book, settings, label)
        _tell_unverified(files, book, label)
    return targets


def _targets(files: Sequence[RemoteFile], folder: Path) -> list[Path]:
    """Final paths; no two are the same, none leads through another or out of the folder."""
    paths = {remote.path for remote in files}
    if len(paths) < len(files):
        seen: set[str] = set()
        twice = next(remote.path for remote in files if remote.path in seen or seen.add(remote.path))
        raise UserError(f"{folder / twice}: two files to fetch have this path")
    parents = {path.rpartition("/")[0] for path in paths} - {""}
    parents |= {parent[:place] for parent in parents for place, letter in enumerate(parent) if letter == "/"}
    if both := sorted(parents & paths):
        raise UserError(f"{folder / both[0]}: to fetch are a file of this path and files below it")
    root = folder.resolve()
    for parent in parents:
        if not (root / parent).resolve().is_relative_to(root):
            raise UserError(f"{folder / parent}: a link leads out of the folder")
    return [folder / remote.path for remote in files]


def _fetch_all(
    todo: Sequence[tuple[RemoteFile, Path]], folder: Path, book: Ledger, settings: DownloadSettings, label: str
) -> None:
    stop = threading.Event()
    failures: dict[int, UserError | OSError] = {}
    sizes = [remote.size for remote, _ in todo]
    done = sum(_bytes_of(part_path(target)) for _, target in todo)
    meter = Meter(label, len(todo), None if None in sizes else sum(sizes), done)
    fetcher = Fetcher(Client(settings, stop), folder, book, meter)
    with ThreadPoolExecutor(settings.workers, thread_name_prefix="fetch") as pool:
        futures = {pool.submit(fetcher.fetch, remote): number for number, (remote, _) in enumerate(todo)}
        try:
            for future in as_completed(futures):
                error = future.exception()
                if error is not None and not isinstance(error, UserError | OSError):
                    raise error
                if error is not None:
                    failures[futures[future]] = error
                if isinstance(error, OSError) or len(failures) == MOST_FAILURES:
                    break
        finally:  # files that are still under way end at their next byte, to be resumed
            stop.set()
            pool.shutdown(cancel_futures=True)
    if failures:
        raise UserError(_explain(failures, todo, label))


def _explain(failures: dict[int, UserError | OSError], todo: Sequence[tuple[RemoteFile, Path]], label: str) -> str:
    for number, error in sorted(failures.items()):
        if isinstance(error, OSError):
            return f"{todo[number][1]}: cannot be written: {error.strerror or 'the disk failed'}"
    first = failures[min(failures)]
    return str(first) if len(failures) == 1 else f"{label}: {len(failures)} of {len(todo)} files failed, the first: {first}"


def _check_space(absent: Sequence[tuple[RemoteFile, Path]], folder: Path, label: str) -> None:
    needed = sum(max((remote.size or 0) - _bytes_of(part_path(target)), 0) for remote, target in absent)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(f"{label}: {format_bytes(needed)} are still to be fetched, but {folder} has {format_bytes(free)} free")


def _tell_unverified(files: Sequence[RemoteFile], book: Ledger, label: str) -> None:
    count = sum(book.entries[remote.path].verified == "unverified" for remote in files)
    if count:
        print(f"{label}: {count} of {len(files)} files have no published checksum; theirs were recorded in {book.path}")


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _some(names: Sequence[str]) -> str:
    """The first names of many, with the verb: ``a, b and 3 more are``."""
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{shown} {'is' if len(names) == 1 else 'are'}"
