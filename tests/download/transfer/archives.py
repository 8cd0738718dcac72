"""Local stand-ins for archives: an S3 bucket, NBIA, a hub, an archive of records; built from their public documentation."""

import hashlib
import json
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from tests.download.transfer.server import GOOD, Fault, Server

PAGE = 3  # objects or files per page
OBJECT = (
    "<Contents><Key>{key}</Key><LastModified>2025-01-31T12:00:00.000Z</LastModified><ETag>&quot;{tag}&quot;</ETag>"
    "<Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
RESULT = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>{bucket}</Name><Prefix>{prefix}</Prefix>{token}<KeyCount>{count}</KeyCount><MaxKeys>{page}</MaxKeys>"
    "<IsTruncated>{more}</IsTruncated>{contents}</ListBucketResult>"
)


def single(query):
    return {key: values[0] for key, values in parse_qs(query, keep_blank_values=True).items()}


class Bucket(Server):
    """ListObjectsV2 and GetObject of one bucket, in the style with the bucket in the path.

    Attributes:
        tags: of keys whose tag is not the md5 of the object: those that were uploaded in pieces.
    """

    name = "open-ct"

    def __init__(self):
        super().__init__()
        self.tags = {}

    def put(self, key, data):
        self.files[f"/{self.name}/{key}"] = data

    def answer(self, path, query):
        if path != f"/{self.name}/" or self.plans[path]:
            return super().answer(path, query)
        asked = single(query)
        if asked.get("list-type") != "2":
            return b"<Error><Code>NotImplemented</Code></Error>", Fault(status=501), None
        prefix, token = asked.get("prefix", ""), asked.get("continuation-token", "")
        keys = sorted(key for key in (path.removeprefix(f"/{self.name}/") for path in self.files) if key.startswith(prefix))
        start = next((number for number, key in enumerate(keys) if self.token(key) == token), 0)
        shown, rest = keys[start : start + PAGE], keys[start + PAGE :]
        contents = "".join(OBJECT.format(key=escape(key), tag=self.tag(key), size=len(self.data(key))) for key in shown)
        following = f"<NextContinuationToken>{self.token(rest[0])}</NextContinuationToken>" if rest else ""
        text = RESULT.format(
            bucket=self.name,
            prefix=escape(prefix),
            token=following,
            count=len(shown),
            page=PAGE,
            more=str(bool(rest)).lower(),
            contents=contents,
        )
        return text.encode(), Fault(headers={"Content-Type": "application/xml"}), None

    def data(self, key):
        return self.files[f"/{self.name}/{key}"]

    def tag(self, key):
        return self.tags.get(key, hashlib.md5(self.data(key), usedforsecurity=False).hexdigest())

    def etag_of(self, path, data):
        return f'"{self.tag(path.removeprefix(f"/{self.name}/"))}"' if path in self.files else None

    @staticmethod
    def token(key):
        """Opaque, with characters that must be quoted."""
        return hashlib.sha256(key.encode()).hexdigest()[:20] + "/+=="


class Nbia(Server):
    """``getSeries`` and ``getImage``; a zip is sent without its length and knows no ranges.

    Attributes:
        series: rows of the collection ``Lung``; each has a zip.
    """

    def __init__(self):
        super().__init__()
        self.series, self.zips = [], {}

    def put(self, uid, patient, modality, data):
        row = {"SeriesInstanceUID": uid, "PatientID": patient, "Modality": modality, "Collection": "Lung", "ImageCount": 2}
        self.series.append(row)
        self.zips[uid] = data

    def answer(self, path, query):
        asked = single(query)
        fault = self.plans[path].popleft() if self.plans[path] else GOOD
        if path == "/v1/getSeries":
            rows = [row for row in self.series if row["Collection"] == asked["Collection"]]
            return json.dumps(rows).encode() if rows else b"", fault, None
        if path == "/v1/getImage":
            data = self.zips[asked["SeriesInstanceUID"]]
            return data, Fault(**{**vars(fault), "chunked": True, "ignore_range": True}), None
        return b"", Fault(status=404), None


class Hub(Server):
    """Tree and files of the data repository ``lab/ct`` at one commit.

    Attributes:
        large: paths of files that are kept outside of git, of which the tree knows the sha256.
    """

    commit = "0123456789abcdef0123456789abcdef01234567"

    def __init__(self):
        super().__init__()
        self.large = set()

    def put(self, path, data, large=False):
        self.files[f"/datasets/lab/ct/resolve/{self.commit}/{path}"] = data
        if large:
            self.large.add(path)

    def answer(self, path, query):
        if path == "/api/datasets/lab/ct/revision/main":
            return json.dumps({"id": "lab/ct", "sha": self.commit}).encode(), GOOD, None
        if path != f"/api/datasets/lab/ct/tree/{self.commit}":
            return super().answer(path, query)
        asked = single(query)
        assert asked["recursive"] == "true"
        start = int(asked.get("cursor", "0"))
        names = sorted(name.removeprefix(f"/datasets/lab/ct/resolve/{self.commit}/") for name in self.files)
        rows = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "images"}] if start == 0 else []
        for name in names[start : start + PAGE]:
            data = self.files[f"/datasets/lab/ct/resolve/{self.commit}/{name}"]
            row = {
                "type": "file",
                "oid": hashlib.sha1(data, usedforsecurity=False).hexdigest(),
                "size": len(data),
                "path": name,
            }
            if name in self.large:
                row["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
            rows.append(row)
        following = f"{self.url}{path}?recursive=true&cursor={start + PAGE}"
        link = {"Link": f'<{following}>; rel="next"'} if start + PAGE < len(names) else {}
        return json.dumps(rows).encode(), Fault(headers=link), None


class Records(Server):
    """Record 4242 of an archive like Zenodo."""

    def put(self, key, data):
        self.files[f"/api/records/4242/files/{key}/content"] = data

    def answer(self, path, query):
        if path != "/api/records/4242":
            return super().answer(path, query)
        rows = []
        for name, data in self.files.items():
            key = name.removeprefix("/api/records/4242/files/").removesuffix("/content")
            digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
            rows.append(
                {"id": "x", "key": key, "size": len(data), "checksum": f"md5:{digest}", "links": {"self": self.url + name}}
            )
        return json.dumps({"id": 4242, "metadata": {"title": "CT"}, "files": rows}).encode(), GOOD, None
