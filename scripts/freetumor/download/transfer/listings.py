"""Kinds of lists of files: from a few words about a source to the files to fetch, sorted by path.

========== =========================================================== ==========================================
kind       keys                                                        what it asks
========== =========================================================== ==========================================
``https``  ``files``: addresses, or ``{path, url|urls, size, checksum}``  nothing
``record`` ``record``: number; ``include``: patterns                   Zenodo-like REST interface
``s3``     ``bucket``; ``prefix`` or ``prefixes``; ``include``         ListObjectsV2, anonymous
``nbia``   ``collection``; ``modality``: one or more; ``include``      getSeries; getImage gives a zip per series
``hub``    ``repository``: owner/name; ``revision``; ``include``       tree of a repository of data at one commit
========== =========================================================== ==========================================

``include`` keeps the paths that match one of its patterns, in which ``*`` stands for any text, ``/`` included.
"""

import difflib
import fnmatch
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from freetumor.core.config_downloads import DownloadSettings
from freetumor.core.errors import UserError
from freetumor.core.files import read_json, sha256_json, write_json

from .http import Client
from .hub import list_hub
from .nbia import list_nbia
from .record import list_record
from .remote import RemoteFile, file_of
from .s3 import list_s3

Question = Mapping[str, Any]
Lister = Callable[[Question, Client], list[RemoteFile]]


def list_https(question: Question, client: Client) -> list[RemoteFile]:
    """An explicit list; no connection is opened."""
    return [file_of(entry, "files") for entry in question["files"]]


# kind → what makes the list, keys that it needs, keys that it may have
KINDS: dict[str, tuple[Lister, tuple[str, ...], tuple[str, ...]]] = {
    "https": (list_https, ("files",), ()),
    "record": (list_record, ("record",), ("include",)),
    "s3": (list_s3, ("bucket",), ("prefix", "prefixes", "include")),
    "nbia": (list_nbia, ("collection",), ("modality", "include")),
    "hub": (list_hub, ("repository",), ("revision", "include")),
}


def _listing(kind: str) -> Callable[[Question, DownloadSettings], list[RemoteFile]]:
    def listed(question: Question, settings: DownloadSettings) -> list[RemoteFile]:
        lister, needed, possible = KINDS[kind]
        _check_keys(kind, question, needed, possible)
        files = lister(question, Client(settings))
        patterns = texts(question, "include")
        if patterns is not None:
            files = [file for file in files if any(fnmatch.fnmatchcase(file.path, pattern) for pattern in patterns)]
        if not files:
            raise UserError(f"{_words(kind, question)}: lists no file" + (" that matches include" if patterns else ""))
        return sorted(files, key=lambda file: file.path)

    return listed


LISTINGS: dict[str, Callable[[Question, DownloadSettings], list[RemoteFile]]] = {kind: _listing(kind) for kind in KINDS}


def list_once(kind: str, question: Question, settings: DownloadSettings, memory: Path) -> list[RemoteFile]:
    """Like ``LISTINGS[kind]``, but the answer to an unchanged question is kept in a file and read from there.

    So a transfer that is continued asks for no list, and one that has all its files works offline.

    Args:
        kind: key of ``LISTINGS``.
        question: keys of that kind.
        settings: how to fetch.
        memory: file (JSON) that keeps the list; remove it to ask again.
    """
    if kind == "https":  # needs no answer, and its addresses may hold what should not be written down
        return LISTINGS[kind](question, settings)
    mark = sha256_json([kind, question, settings.endpoints.model_dump()])
    if Path(memory).exists():
        kept = read_json(memory)
        if kept.get("question") == mark:
            return [RemoteFile(**{**entry, "urls": tuple(entry["urls"])}) for entry in kept["files"]]
    files = LISTINGS[kind](question, settings)
    write_json(memory, {"question": mark, "files": [asdict(file) for file in files]})
    return files


def texts(question: Question, key: str) -> Sequence[str] | None:
    """The value of a key that holds one text or a list of them; None if it is not there."""
    value = question.get(key)
    return [value] if isinstance(value, str) else value


def _check_keys(kind: str, question: Question, needed: Sequence[str], possible: Sequence[str]) -> None:
    known = [*needed, *possible]
    for key in question:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
            raise UserError(f"listing '{kind}': unknown key '{key}'; {hint}")
    for key in needed:
        if not question.get(key):
            raise UserError(f"listing '{kind}': key '{key}' is missing")


def _words(kind: str, question: Question) -> str:
    words = {key: value for key, value in question.items() if key not in ("files", "prefixes", "include")}
    return f"listing '{kind}' {json.dumps(words, default=str)}"
