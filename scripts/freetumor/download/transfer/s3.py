"""Objects of a bucket that anyone may read: ListObjectsV2 of the S3 protocol, over plain HTTP requests without a signature."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlencode

from freetumor.core.errors import UserError

from .http import Client
from .remote import RemoteFile, redact

MD5_TAG = re.compile(r'"?([0-9a-f]{32})"?')  # with a dash and a number behind it, a tag is of an upload in pieces, and no md5


def list_s3(question: Mapping[str, Any], client: Client) -> list[RemoteFile]:
    """Objects below ``prefix``, with paths from its last ``/`` on; or below ``prefixes``, a mapping from a folder to a prefix.

    With a mapping, the objects of each prefix go to its folder; many prefixes are asked for at once.

    Raises:
        UserError: if the bucket cannot be listed.
    """
    bucket = str(question["bucket"])
    if "prefix" in question and "prefixes" in question:
        raise UserError("listing 's3': expected prefix or prefixes, not both")
    prefixes = question.get("prefixes") or {"": question.get("prefix", "")}
    with ThreadPoolExecutor(client.settings.workers) as pool:
        lists = pool.map(lambda item: list(_objects(bucket, str(item[1]), str(item[0]), client)), prefixes.items())
        return [file for files in lists for file in files]


def _objects(bucket: str, prefix: str, folder: str, client: Client) -> Iterator[RemoteFile]:
    base = client.settings.endpoints.s3.replace("{bucket}", quote(bucket, safe=""))
    above = prefix.rpartition("/")[0]
    token, seen = "", set()
    while token not in seen:
        seen.add(token)
        page = {"list-type": "2", "prefix": prefix} | ({"continuation-token": token} if token else {})
        url = f"{base}/?{urlencode(page, quote_via=quote)}"
        root = _parse(client.read(url)[0], url)
        for element in root.iterfind("Contents"):
            key = element.findtext("Key", "")
            if key and not key.endswith("/"):  # consoles make empty objects that stand for folders
                path = "/".join(filter(None, [folder.strip("/"), key[len(above) :].lstrip("/")]))
                tag = MD5_TAG.fullmatch(element.findtext("ETag", ""))
                yield RemoteFile(path, (f"{base}/{quote(key)}",), _size(element), f"md5:{tag[1]}" if tag else None)
        if root.findtext("IsTruncated") != "true":
            return
        token = root.findtext("NextContinuationToken", "")
    raise UserError(f"{redact(url)}: the list does not end: a page leads back to an earlier one")


def _parse(body: bytes, url: str) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        raise UserError(f"{redact(url)}: expected a list of objects in XML") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # servers differ in the namespace
    if root.tag != "ListBucketResult":
        raise UserError(f"{redact(url)}: expected a list of objects, got {root.tag[:40]!r}")
    return root


def _size(element: ElementTree.Element) -> int | None:
    text = element.findtext("Size", "")
    return int(text) if text.isdecimal() else None
