"""Series of a collection of The Cancer Imaging Archive, by the NBIA REST interface: ``getSeries``, ``getImage``.

``getImage`` packs a series into a zip while it sends it. So its size is unknown beforehand, it has no published hash, and a
broken transfer begins again.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from freetumor.core.errors import UserError

from .http import Client, parse_json
from .remote import RemoteFile, redact

UID = re.compile(r"[0-9.]{1,64}")


def list_nbia(question: Mapping[str, Any], client: Client) -> list[RemoteFile]:
    """One zip per series of ``collection``: ``<patient>/<series>.zip``; of the modalities in ``modality``, or of all.

    Raises:
        UserError: if the collection is not there, or not public.
    """
    base = client.settings.endpoints.nbia
    url = f"{base}/getSeries?{urlencode({'Collection': str(question['collection']), 'format': 'json'})}"
    body = client.read(url)[0]
    answer = _series(body, url)
    wanted = question.get("modality")
    modalities = {wanted} if isinstance(wanted, str) else set(wanted or ())
    files = []
    for series in answer:
        uid = str(series.get("SeriesInstanceUID", ""))
        if not UID.fullmatch(uid):
            raise UserError(f"{redact(url)}: a series has no valid SeriesInstanceUID")
        if not modalities or series.get("Modality") in modalities:
            patient = re.sub(r"[^A-Za-z0-9_.-]+", "-", str(series.get("PatientID", ""))).strip(".-")[:64] or "unknown"
            address = f"{base}/getImage?{urlencode({'SeriesInstanceUID': uid})}"
            files.append(RemoteFile(f"{patient}/{uid}.zip", (address,)))
    return files


def _series(body: bytes, url: str) -> list[dict[str, Any]]:
    """The rows of an answer; an unknown collection is answered with nothing at all."""
    answer = parse_json(body, url) if body.strip() else []
    if not isinstance(answer, list) or not all(isinstance(series, dict) for series in answer):
        raise UserError(f"{redact(url)}: expected a list of series")
    return answer
