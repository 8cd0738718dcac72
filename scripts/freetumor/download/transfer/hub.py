"""Files of a data repository on a hub such as Hugging Face: ``/api/datasets/<name>/tree/<commit>``, sha256 of large files."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from freetumor.core.errors import UserError

from .http import Client, parse_json
from .remote import RemoteFile, redact

COMMIT = re.compile(r"[0-9a-f]{40}")
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def list_hub(question: Mapping[str, Any], client: Client) -> list[RemoteFile]:
    """Files of ``repository`` (owner/name) at ``revision``, a commit; a branch stands for its newest commit (default: main).

    Addresses name the commit, so that the files cannot change between listing and fetching.

    Raises:
        UserError: if the repository or revision is not there, or not public.
    """
    repository, revision = str(question["repository"]), str(question.get("revision", "main"))
    if not REPOSITORY.fullmatch(repository) or ".." in repository:
        raise UserError(f"listing 'hub': repository: expected owner/name, got '{repository}'")
    base = client.settings.endpoints.hub
    commit = revision if COMMIT.fullmatch(revision) else _commit(f"{base}/api/datasets/{repository}", revision, client)
    url: str | None = f"{base}/api/datasets/{repository}/tree/{commit}?recursive=true"
    files, seen = [], set()
    while url is not None:
        seen.add(url)
        body, links = client.read(url)
        for entry in _entries(body, url):
            if entry["type"] == "file":
                address = f"{base}/datasets/{repository}/resolve/{commit}/{quote(entry['path'])}"
                files.append(RemoteFile(entry["path"], (address,), entry.get("size"), _checksum(entry)))
        url = _next(url, links, seen)
    return files


def _commit(api: str, revision: str, client: Client) -> str:
    url = f"{api}/revision/{quote(revision, safe='')}"
    answer = client.json(url)
    commit = str(answer.get("sha", "")) if isinstance(answer, dict) else ""
    if not COMMIT.fullmatch(commit):
        raise UserError(f"{redact(url)}: names no commit")
    return commit


def _entries(body: bytes, url: str) -> list[dict[str, Any]]:
    answer = parse_json(body, url)
    if not isinstance(answer, list) or not all(isinstance(entry, dict) and {"path", "type"} <= set(entry) for entry in answer):
        raise UserError(f"{redact(url)}: expected a list of files")
    return answer


def _checksum(entry: Mapping[str, Any]) -> str | None:
    """Small files have a hash of git only, which is of another kind."""
    large = entry.get("lfs")
    return f"sha256:{large['oid'].removeprefix('sha256:')}" if isinstance(large, dict) and "oid" in large else None


def _next(url: str, links: Mapping[str, Any], seen: set[str]) -> str | None:
    """The next page; only of the same host, and only forward."""
    if "next" not in links:
        return None
    found = urljoin(url, links["next"]["url"])
    if urlsplit(found)[:2] != urlsplit(url)[:2] or found in seen:
        raise UserError(f"{redact(url)}: its next page is on another host, or leads back")
    return found
