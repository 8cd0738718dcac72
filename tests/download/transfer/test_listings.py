"""Each kind of list gives all files with what is known of them, sorted, and they can be fetched."""

import json

import pytest

from freetumor.core.errors import UserError
from freetumor.download.transfer.ledger import read_ledger
from freetumor.download.transfer.listings import LISTINGS, list_once
from freetumor.download.transfer.remote import RemoteFile
from tests.download.transfer.archives import Bucket, Hub, Nbia, Records
from tests.download.transfer.conftest import settings, sha256
from tests.download.transfer.server import Fault


@pytest.fixture
def bucket():
    with Bucket() as running:
        for number in range(8):
            running.put(f"series/a & b/{number}.dcm", bytes([number]) * (100 + number))
        running.put("series/a & b/", b"")
        running.put("series/large.dcm", b"large" * 10)
        running.put("other/x.dcm", b"x")
        running.tags["series/large.dcm"] = "0" * 32 + "-2"
        yield running


@pytest.fixture
def nbia():
    with Nbia() as running:
        running.put("1.2.3", "P 02/x", "CT", b"PK" + bytes(50_000))
        running.put("1.2.1", "P01", "CT", b"PK one")
        running.put("1.2.2", "P01", "SEG", b"PK two")
        yield running


@pytest.fixture
def hub():
    with Hub() as running:
        for number in range(7):
            running.put(f"images/{number} ü.nii.gz", bytes([number]) * 1000, large=True)
        running.put("README.md", b"# CT")
        yield running


@pytest.fixture
def records():
    with Records() as running:
        running.put("images.zip", b"images" * 100)
        running.put("labels 1.zip", b"labels")
        yield running


def at(**endpoints):
    return settings(endpoints=endpoints)


def test_a_bucket_is_listed_page_by_page_and_its_objects_fetched(bucket, room):
    keys = at(s3=f"{bucket.url}/{{bucket}}")
    files = LISTINGS["s3"]({"bucket": "open-ct", "prefix": "series/"}, keys)
    assert [file.path for file in files] == [*(f"a & b/{number}.dcm" for number in range(8)), "large.dcm"]
    assert [file.size for file in files] == [*range(100, 108), 50]
    assert [file.checksum is None for file in files] == [False] * 8 + [True]  # an upload in pieces has no md5
    room.fetch(*files)
    assert room.names == [file.path for file in files]
    assert len([path for path in bucket.seen if "list-type" in path]) == 4


def test_prefixes_go_to_folders_of_their_own(bucket):
    keys = at(s3=f"{bucket.url}/{{bucket}}")
    question = {"bucket": "open-ct", "prefixes": {"p2/ct": "other/", "p1/ct": "series/a & b/"}}
    files = LISTINGS["s3"](question, keys)
    assert [file.path for file in files] == [*(f"p1/ct/{number}.dcm" for number in range(8)), "p2/ct/x.dcm"]
    with pytest.raises(UserError, match="expected prefix or prefixes"):
        LISTINGS["s3"](question | {"prefix": ""}, keys)


def test_a_bucket_may_be_part_of_the_host(bucket):
    keys = at(s3=bucket.url.replace("127.0.0.1", "{bucket}"))
    with pytest.raises(UserError, match=r"http://localhost:\d+/\?list-type=2&prefix=a: answered 404"):
        LISTINGS["s3"]({"bucket": "localhost", "prefix": "a"}, keys)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<Error><Code>AccessDenied</Code></Error>", "expected a list of objects, got 'Error'"),
        (b"<ListBucketResult>", "expected a list of objects in XML"),
        (b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>", "a page leads back to an earlier one"),
        (
            b"<ListBucketResult><Contents><Key>series/../../x</Key></Contents></ListBucketResult>",
            "not the path of a file to fetch",
        ),
        (b'<!DOCTYPE x [<!ENTITY a "aaaa">]><ListBucketResult/>', "lists no file"),
    ],
)
def test_what_is_no_list_of_a_bucket_is_told(bucket, body, message):
    bucket.plans["/open-ct/"].append(Fault(body=body))
    with pytest.raises(UserError, match=message):
        LISTINGS["s3"]({"bucket": "open-ct", "prefix": "series/"}, at(s3=f"{bucket.url}/{{bucket}}"))


def test_a_collection_is_one_zip_per_series_and_a_broken_one_begins_again(nbia, room):
    keys = at(nbia=f"{nbia.url}/v1")
    files = LISTINGS["nbia"]({"collection": "Lung"}, keys)
    assert [file.path for file in files] == ["P-02-x/1.2.3.zip", "P01/1.2.1.zip", "P01/1.2.2.zip"]
    assert [file.path for file in LISTINGS["nbia"]({"collection": "Lung", "modality": "SEG"}, keys)] == ["P01/1.2.2.zip"]
    nbia.plans["/v1/getImage"].append(Fault(cut=20_000))
    room.fetch(*files, workers=1)
    assert (room.folder / "P-02-x/1.2.3.zip").read_bytes() == nbia.zips["1.2.3"]
    assert {entry.verified for entry in read_ledger(room.ledger).values()} == {"unverified"}
    assert "getImage?SeriesInstanceUID=1.2.3" in room.ledger.read_text()
    with pytest.raises(UserError, match=r"listing 'nbia' .*Liver.*: lists no file"):
        LISTINGS["nbia"]({"collection": "Liver"}, keys)


def test_a_series_without_a_valid_identifier_is_refused(nbia):
    nbia.put("../x", "P", "CT", b"")
    with pytest.raises(UserError, match="a series has no valid SeriesInstanceUID"):
        LISTINGS["nbia"]({"collection": "Lung"}, at(nbia=f"{nbia.url}/v1"))


def test_a_repository_of_a_hub_is_listed_at_one_commit(hub, room):
    keys = at(hub=hub.url)
    files = LISTINGS["hub"]({"repository": "lab/ct"}, keys)
    assert [file.path for file in files] == ["README.md", *(f"images/{number} ü.nii.gz" for number in range(7))]
    assert files[1].checksum == sha256(bytes(1000))
    assert files[0].checksum is None
    assert all(hub.commit in url for file in files for url in file.urls)
    room.fetch(*files)
    assert room.names == sorted(file.path for file in files)
    assert LISTINGS["hub"]({"repository": "lab/ct", "revision": hub.commit}, keys) == files
    with pytest.raises(UserError, match="api/datasets/lab/ct/revision/v2: answered 404"):
        LISTINGS["hub"]({"repository": "lab/ct", "revision": "v2"}, keys)
    for name in ("ct", "lab/../ct", "lab/ct/x"):
        with pytest.raises(UserError, match="repository: expected owner/name"):
            LISTINGS["hub"]({"repository": name}, keys)


def test_a_hub_does_not_lead_to_another_host(hub, server):
    elsewhere = Fault(body=b"[]", headers={"Link": f'<{server.url}/x>; rel="next"'})
    hub.answer = lambda path, query: (b"[]", elsewhere, None)
    with pytest.raises(UserError, match="its next page is on another host"):
        LISTINGS["hub"]({"repository": "lab/ct", "revision": hub.commit}, at(hub=hub.url))
    assert not server.seen


def test_a_record_is_listed_with_its_hashes_and_fetched(records, room):
    files = LISTINGS["record"]({"record": 4242}, at(record=records.url))
    assert [(file.path, file.size) for file in files] == [("images.zip", 600), ("labels 1.zip", 6)]
    assert all(file.checksum.startswith("md5:") for file in files)
    room.fetch(*files)
    assert room.names == ["images.zip", "labels 1.zip"]
    with pytest.raises(UserError, match="api/records/1: answered 404"):
        LISTINGS["record"]({"record": "1"}, at(record=records.url))


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"files": [{"size": 1}]}', b"<html>", b"[" * 100_000])
def test_an_answer_that_lists_no_files_is_told(server, body):
    server.add("/api/records/1", body)
    with pytest.raises(UserError, match=r"api/records/1: (lists no files|expected an answer in JSON)"):
        LISTINGS["record"]({"record": 1}, at(record=server.url))


def test_an_explicit_list_opens_no_connection():
    question = {"files": [{"path": "b.zip", "url": "https://example.org/b"}, "https://example.org/a.zip"]}
    files = LISTINGS["https"](question, settings(offline=True))
    assert files == [RemoteFile("a.zip", ("https://example.org/a.zip",)), RemoteFile("b.zip", ("https://example.org/b",))]


def test_include_keeps_what_matches(hub):
    keys = at(hub=hub.url)
    files = LISTINGS["hub"]({"repository": "lab/ct", "include": ["images/[01]*", "*.md"]}, keys)
    assert [file.path for file in files] == ["README.md", "images/0 ü.nii.gz", "images/1 ü.nii.gz"]
    with pytest.raises(UserError, match="lists no file that matches include"):
        LISTINGS["hub"]({"repository": "lab/ct", "include": "*.zip"}, keys)


def test_keys_are_checked():
    with pytest.raises(UserError, match="listing 's3': unknown key 'prefx'; did you mean 'prefix'"):
        LISTINGS["s3"]({"bucket": "b", "prefx": "x"}, settings())
    with pytest.raises(UserError, match="listing 'nbia': key 'collection' is missing"):
        LISTINGS["nbia"]({}, settings())


def test_a_failing_interface_is_asked_again_and_then_named(records):
    records.plans["/api/records/1"].extend([Fault(status=500)] * 9)
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:\d+/api/records/1: answered 500 .3 tries."):
        LISTINGS["record"]({"record": 1}, at(record=records.url))


def test_offline_asks_no_interface(records):
    keys = settings(offline=True, endpoints={"record": records.url})
    with pytest.raises(UserError, match=r"downloads\.offline is true, but http://.*/api/records/4242 is needed"):
        LISTINGS["record"]({"record": 4242}, keys)
    assert not records.seen


def test_a_kept_list_is_asked_for_once_and_works_offline(records, tmp_path):
    memory = tmp_path / "files.json"
    keys = {"endpoints": {"record": records.url}}
    first = list_once("record", {"record": 4242}, settings(**keys), memory)
    assert list_once("record", {"record": 4242}, settings(**keys, offline=True), memory) == first
    assert len(records.seen["/api/records/4242"]) == 1
    list_once("record", {"record": 4242, "include": "images*"}, settings(**keys), memory)
    assert [file["path"] for file in json.loads(memory.read_text())["files"]] == ["images.zip"]
