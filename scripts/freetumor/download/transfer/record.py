"""Files of a record of an archive such as Zenodo (InvenioRDM): ``GET /api/records/<number>``, md5 per file."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from freetumor.core.errors import UserError

from .http import Client
from .remote import RemoteFile, redact


def list_record(question: Mapping[str, Any], client: Client) -> list[RemoteFile]:
    """Files of the record with the number ``record``.

    Addresses are formed here, so that nothing that the archive adds to its links is kept.

    Raises:
        UserError: if there is no such record, or its files are not public.
    """
    base = client.settings.endpoints.record
    url = f"{base}/api/records/{quote(str(question['record']), safe='')}"
    answer = client.json(url)
    entries = answer.get("files") if isinstance(answer, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and entry.get("key") for entry in entries):
        raise UserError(f"{redact(url)}: lists no files; are they public?")
    return [
        RemoteFile(
            path=str(entry["key"]),
            urls=(f"{url}/files/{quote(str(entry['key']))}/content",),
            size=entry.get("size"),
            checksum=_checksum(entry.get("checksum")),
        )
        for entry in entries
    ]


def _checksum(value: Any) -> str | None:
    """``md5:<hex>``; older records give the digits alone."""
    text = str(value or "").lower()
    return text if ":" in text else f"md5:{text}" if len(text) == 32 else None
