"""A file that can be fetched: where it belongs, where it comes from, and how to know that it is right."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from freetumor.core.errors import UserError

CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}")
LONGEST_NAME = 200  # bytes; endings such as ``.part.json`` must still fit into the 255 of file systems
SHOWN = {"Collection", "Modality", "PatientID", "SeriesInstanceUID", "format", "list-type", "prefix", "recursive"}


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch.

    Attributes:
        path: where it belongs, below the folder of its source: POSIX, relative, without ``..``.
        urls: mirrors, in the order in which they are tried. Not part of the text form: a query may hold a token.
        size: bytes, if known.
        checksum: ``sha256:<hex>`` or ``md5:<hex>``; if None, the hash is recorded on first use and flagged ``unverified``.

    Raises:
        UserError: if a part is not of this form.
    """

    path: str
    urls: tuple[str, ...] = field(repr=False)
    size: int | None = None
    checksum: str | None = None

    def __post_init__(self) -> None:
        _check_path(self.path)
        if not self.urls:
            raise UserError(f"{self.path}: expected at least one address to fetch it from")
        for url in self.urls:
            check_url(url, self.path)
        if self.size is not None and (not isinstance(self.size, int) or self.size < 0):
            raise UserError(f"{self.path}: size: expected a number of bytes, got {self.size!r}")
        if self.checksum is not None and not CHECKSUM.fullmatch(str(self.checksum)):
            raise UserError(
                f"{self.path}: checksum: expected sha256:<64 hex digits> or md5:<32 hex digits>, got {self.checksum!r}"
            )


def check_url(url: str, owner: str) -> None:
    """Raise a :class:`UserError` that names ``owner`` if ``url`` cannot be fetched from, or holds a password."""
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable() and " " not in url
        _ = parts.port  # raises if it is no number
    except ValueError:
        right = False
    if not right:
        raise UserError(f"{owner}: expected an address that begins with https://, got {redact(url)!r}")
    if "@" in parts.netloc:
        raise UserError(f"{owner}: the address {redact(url)} holds a user name or password; those belong into netrc")


def redact(url: str) -> str:
    """An address that can be printed: without user, password, fragment and values of its query that may be secret."""
    try:
        parts = urlsplit(url)
        query = "&".join(
            f"{quote(name)}={quote(value, safe='/') if name in SHOWN else '…'}"
            for name, value in parse_qsl(parts.query, keep_blank_values=True)
        )
    except ValueError:
        return "…"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, query, "")) if parts.scheme in ("http", "https") else "…"


def file_of(entry: Mapping[str, Any] | str, where: str) -> RemoteFile:
    """Make a :class:`RemoteFile` of an entry of an explicit list: an address, or a mapping.

    Args:
        entry: an ``https`` address, whose last part becomes the path, or ``{path, url or urls, size, checksum}``.
        where: name of the list, for error messages.

    Raises:
        UserError: if the entry is neither.
    """
    if isinstance(entry, str):
        check_url(entry, where)
        return RemoteFile(PurePosixPath(urlsplit(entry).path).name, (entry,))
    unknown = sorted(set(entry) - {"path", "url", "urls", "size", "checksum"})
    if unknown:
        raise UserError(f"{where}: unknown key '{unknown[0]}' of a file; known are path, url, urls, size, checksum")
    urls = entry.get("urls") or ([entry["url"]] if entry.get("url") else [])
    if not isinstance(urls, Sequence) or isinstance(urls, str) or not urls:
        raise UserError(f"{where}: expected url, or a list urls, for each file")
    path = entry.get("path") or PurePosixPath(urlsplit(str(urls[0])).path).name
    return RemoteFile(str(path), tuple(map(str, urls)), entry.get("size"), entry.get("checksum"))


def _check_path(path: str) -> None:
    parts = path.split("/") if isinstance(path, str) else []
    wrong = not parts or any(part in ("", ".", "..") or len(part.encode(errors="replace")) > LONGEST_NAME for part in parts)
    if wrong or not path.isprintable() or "\\" in path or re.match(r"[A-Za-z]:", path):
        raise UserError(f"{path!r:.300}: not the path of a file to fetch; expected a relative path without '..'")
