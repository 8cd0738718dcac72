"""Fetch one file: from its mirrors in order, resumed where it broke off, verified before it gets its final name."""

import hashlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from requests import Response

from freetumor.core.errors import UserError

from .hosts import Interrupted
from .http import Client, Failure, Passing, chunks
from .ledger import LONGEST_ETAG, Entry, Ledger, now
from .meter import Meter
from .part import Part, Version, hashed, opened, set_aside
from .remote import RemoteFile, redact

RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html)\b", re.IGNORECASE)
PAGE_NAMES = (".html", ".htm", ".xhtml")
GZIP_NAMES = (".gz", ".tgz")
MINE = "move it away, or read your own files by a source of kind folder"


class WrongHash(Failure):
    """All bytes came, but not the right ones."""


@dataclass
class Fetcher:
    """What the files of one source share.

    Attributes:
        client: connections.
        folder: of the source.
        ledger: of the source.
        meter: progress.
    """

    client: Client
    folder: Path
    ledger: Ledger
    meter: Meter

    def fetch(self, remote: RemoteFile) -> None:
        """Bring one file to its place, complete and right.

        Raises:
            UserError: naming the file and what went wrong with each mirror.
        """
        target = self.folder / remote.path
        if not is_present(remote, target, self.ledger):
            self._from_mirrors(remote, target)
        self.meter.finish_file()

    def _from_mirrors(self, remote: RemoteFile, target: Path) -> None:
        failures = []
        for url in remote.urls:
            with opened(target, kinds_of(remote), self.client.stop) as part:
                if part is None:  # another job was faster
                    self.ledger.refresh()
                    if is_present(remote, target, self.ledger):
                        return
                    continue
                try:
                    self._from_mirror(remote, url, part)
                    return
                except Failure as failure:
                    failures.append(f"{urlsplit(url).hostname} {failure}" + self._aside(failure, part))
                finally:
                    if part.size == 0:
                        part.remove()
        reason = "; ".join(failures) or "another job fetches other bytes for it"
        raise UserError(f"{target}: not fetched: {reason}; see docs/how-to/download.md")

    def _from_mirror(self, remote: RemoteFile, url: str, part: Part) -> None:
        entry = self.client.persist(lambda: self._attempt(remote, url, part), remote.path, url)
        part.flush()
        self.ledger.add(entry)  # before it is renamed: what has its final name is in the ledger
        part.finish(entry.moment)

    def _attempt(self, remote: RemoteFile, url: str, part: Part) -> Entry:
        furthest = part.furthest
        try:
            if not self._has_all(remote, url, part) and not self._request(remote, url, part):
                self._request(remote, url, part)  # from the first byte on
            if part.pieced and not self._is_right(remote, part):  # pieces of two versions?
                self._restart(part, Version())
                self._request(remote, url, part)
            return self._verified(remote, url, part)
        except Passing as failure:
            raise Passing(str(failure), failure.pause, further=part.size > furthest) from None

    def _has_all(self, remote: RemoteFile, url: str, part: Part) -> bool:
        """Whether an earlier job ended between the last byte and the final name."""
        known = remote.checksum is not None or part.version.address == _address(url)
        return part.complete and known and remote.size in (None, part.size)

    def _request(self, remote: RemoteFile, url: str, part: Part) -> bool:
        """Ask for what is missing and receive it; False if it does not continue the copy, which is then empty."""
        with self.client.open(url, _continuation(remote, url, part)) as response:
            if response.status_code == 416 or not self._begin(remote, url, part, response):
                whole = (
                    remote.checksum is not None and _range(response) == (None, part.size) and remote.size in (None, part.size)
                )
                if not whole:
                    self._restart(part, Version())
                return whole
            for data in chunks(response):
                if self.client.stop.is_set():
                    raise Interrupted
                part.append(data)
                self.meter.add(len(data))
                _limit(remote, part)
        total = _total(remote, part)
        if total is not None and part.size < total:
            raise Passing(f"sent only {part.size} of {total} bytes")
        return True

    def _begin(self, remote: RemoteFile, url: str, part: Part, response: Response) -> bool:
        """Look at the head of an answer and prepare the copy; False if the answer does not continue it."""
        _refuse_disguise(remote, response)
        version = _version(url, response)
        if remote.size is not None and version.total not in (None, remote.size):
            raise Failure(f"offers {version.total} bytes, where {remote.size} were expected")
        if response.status_code == 200:  # the first answer, or Range is ignored, or the file has changed
            self._restart(part, version)
            if _total(remote, part) is None and remote.checksum is None and not response.raw.chunked:
                raise Failure("does not say how long the file is, so a broken connection would look like its end")
            return True
        old = part.version
        same = version.address != old.address or version.validator in ("", old.validator)
        if _range(response)[0] != part.size or not same or len({old.total, version.total} - {None}) > 1:
            return False
        part.pieced = True
        return True

    def _aside(self, failure: Failure, part: Part) -> str:
        """Keep wrong bytes for a look at them."""
        if not isinstance(failure, WrongHash):
            return ""
        self.meter.discard(part.size)
        return f"; kept as {part.set_aside().name}"

    def _restart(self, part: Part, version: Version) -> None:
        self.meter.discard(part.size)
        part.restart(version)

    def _is_right(self, remote: RemoteFile, part: Part) -> bool:
        kind, expected, _ = self._expected(remote)
        return expected is None or part.digest(kind) == expected

    def _expected(self, remote: RemoteFile) -> tuple[str, str | None, str]:
        """Kind of hash, its value if there is one to compare with, and what the file counts as verified against."""
        if remote.checksum is not None:
            kind, value = remote.checksum.split(":")
            return kind, value, remote.checksum
        known = self.ledger.entries.get(remote.path)
        return ("sha256", known.sha256, "ledger") if known else ("sha256", None, "unverified")

    def _verified(self, remote: RemoteFile, url: str, part: Part) -> Entry:
        if PAGE.match(part.head(1024)) and not remote.path.lower().endswith(PAGE_NAMES):
            self._restart(part, Version())
            raise Failure("answered with a web page instead of the file; does it ask for a login or a form?")
        if not part.intact:
            self._restart(part, Version())
            raise Passing("was fetched by two jobs at once, into one copy; does the disk know no locks?")
        kind, expected, verified = self._expected(remote)
        if not self._is_right(remote, part):
            source = "published" if remote.checksum else f"recorded in {self.ledger.path.name}"
            raise WrongHash(f"sent a file whose {kind} is {part.digest(kind)}, where {expected} is {source}")
        etag = part.version.etag[:LONGEST_ETAG]
        return Entry(remote.path, redact(url), now(), part.size, part.digest("sha256"), verified, etag)


def kinds_of(remote: RemoteFile) -> list[str]:
    """Hashes that a file needs: the one that is published, and the one of the ledger."""
    return sorted({"sha256", (remote.checksum or "sha256:").split(":")[0]})


def is_present_at_once(remote: RemoteFile, target: Path, ledger: Ledger) -> bool:
    """Whether a file is here and unchanged since the ledger recorded it, by size and modification time: it is not read."""
    entry = ledger.entries.get(remote.path)
    if entry is None:
        return False
    try:
        status = target.stat()
    except OSError:
        return False
    unchanged = status.st_size == entry.bytes and status.st_mtime == entry.moment
    return unchanged and remote.checksum in (None, entry.verified, f"sha256:{entry.sha256}")


def is_present(remote: RemoteFile, target: Path, ledger: Ledger) -> bool:
    """Whether the right file is here; it is read if need be. A wrong one is renamed to ``<name>.bad``.

    Raises:
        UserError: if a file is here of which nothing tells whether it is complete.
    """
    if is_present_at_once(remote, target, ledger):
        return True
    if not os.path.lexists(target):
        return False
    if not target.is_file():
        raise UserError(f"{target}: is in the way of a file to fetch; expected no folder and no broken link there")
    entry = ledger.entries.get(remote.path)
    if entry is None and remote.checksum is None and remote.size is None:
        raise UserError(f"{target}: was not fetched from here, and nothing tells whether it is complete; {MINE}")
    before = target.stat()
    digests = {kind: digest.hexdigest() for kind, digest in hashed(target, kinds_of(remote)).items()}
    size = before.st_size
    if remote.checksum is not None:
        right = remote.checksum in [f"{kind}:{value}" for kind, value in digests.items()]
    else:
        right = digests["sha256"] == entry.sha256 if entry else size == remote.size
    if not right and not _is_still(target, before):  # another job has replaced it meanwhile
        ledger.refresh()
        return is_present(remote, target, ledger)
    if not right:
        bad = set_aside(target, target)
        print(f"{target}: has changed since it was fetched, or is not the right file; kept as {bad.name}", file=sys.stderr)
        return False
    if entry is None or remote.checksum not in (None, entry.verified, f"sha256:{entry.sha256}"):
        entry = Entry(remote.path, "", now(), size, digests["sha256"], remote.checksum or "unverified")
        ledger.add(entry)
    os.utime(target, (entry.moment, entry.moment))
    return True


def _is_still(path: Path, status: os.stat_result) -> bool:
    """Whether a path leads to the very file that it led to before."""
    try:
        return os.path.samestat(path.stat(), status)
    except FileNotFoundError:
        return False


def _continuation(remote: RemoteFile, url: str, part: Part) -> dict[str, str]:
    """Headers that ask for the rest: only if the server can tell whether it is of the same version, or a hash will."""
    if part.size == 0:
        return {}
    if part.version.address == _address(url) and part.version.validator:
        return {"Range": f"bytes={part.size}-", "If-Range": part.version.validator}
    return {"Range": f"bytes={part.size}-"} if remote.checksum is not None else {}


def _version(url: str, response: Response) -> Version:
    etag = response.headers.get("ETag", "").strip()
    total = response.headers.get("Content-Length", "")
    return Version(
        address=_address(url),
        etag="" if etag.startswith("W/") else etag,  # a weak tag does not promise equal bytes
        modified=response.headers.get("Last-Modified", "").strip(),
        total=_range(response)[1] if response.status_code == 206 else int(total) if total.isdecimal() else None,
    )


def _range(response: Response) -> tuple[int | None, int | None]:
    """First byte and whole size of a ``Content-Range``; None for what it does not say."""
    match = RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    start, total = match.groups() if match else (None, None)
    return int(start) if start else None, int(total) if total and total != "*" else None


def _total(remote: RemoteFile, part: Part) -> int | None:
    """Bytes of the whole file, if server or list tell."""
    return part.version.total if part.version.total is not None else remote.size


def _refuse_disguise(remote: RemoteFile, response: Response) -> None:
    """Raise a :class:`Failure` if the answer cannot be the file: a web page, or an encoding that was not asked for."""
    name = remote.path.lower()
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml") and not name.endswith(PAGE_NAMES):
        raise Failure("answered with a web page instead of the file; does it ask for a login or a form?")
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    stored = encoding in ("gzip", "x-gzip") and name.endswith(GZIP_NAMES)  # some servers call the file's own form an encoding
    if encoding not in ("", "identity") and not stored:
        raise Failure("sends the file in an encoding that was not asked for")


def _limit(remote: RemoteFile, part: Part) -> None:
    if remote.size is not None and part.size > remote.size:
        raise Failure(f"sends more than the {remote.size} bytes that were expected")


def _address(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:16]
