"""Sources of the catalog: fetched from local servers, or put there by hand, checked and indexed."""

import csv
import hashlib
import http.server
import io
import json
import tarfile
import threading
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydicom.uid import CTImageStorage

from freetumor.core.config import Config, PublicSource
from freetumor.core.errors import UserError
from freetumor.core.tables import RAW_CASES, read_table
from freetumor.download import catalog as table
from freetumor.download import idc, public
from freetumor.download.catalog import Entry
from freetumor.download.segments import read_label
from freetumor.download.sources import check_source, download_source, surroundings_of
from freetumor.download.transfer.turns import alone
from tests.download.dicom_labels import dicom, segmentation


@pytest.fixture
def server():
    """A server of the bytes in ``files`` by path, which also lists them as a bucket does; its address and the files."""
    files = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            parts = urlsplit(self.path)
            bucket, _, name = parts.path.strip("/").partition("/")
            if "list-type" in parts.query:
                prefix = f"{bucket}/{parse_qs(parts.query)['prefix'][0]}"
                found = [key for key in sorted(files) if key.startswith(prefix)]
                body = "".join(
                    f"<Contents><Key>{key.partition('/')[2]}</Key><Size>{len(files[key])}</Size>"
                    f"<ETag>{hashlib.md5(files[key]).hexdigest()}</ETag></Contents>"
                    for key in found
                )
                self.answer(f"<ListBucketResult>{body}<IsTruncated>false</IsTruncated></ListBucketResult>".encode())
            elif f"{bucket}/{name}" in files:
                self.answer(files[f"{bucket}/{name}"])
            else:
                self.send_error(404)

        def answer(self, body):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}", files
    running.shutdown()
    running.server_close()


@pytest.fixture
def entries(monkeypatch):
    """Entries of the catalog for a test, by name."""
    known = {}
    monkeypatch.setattr(table, "catalog", lambda: known)

    def add(name, **fields):
        stated = {"title": name.title(), "region": "abdomen", "access": "open", "roles": ["labeled"], "evidence": ["test"]}
        known[name] = Entry.model_validate({"name": name, "license": "CC BY 4.0"} | stated | fields)

    return add


def study(source, downloads=None):
    return Config(
        study="s",
        organs=["liver"],
        preset="p",
        presets={"p": {"spacing": (3, 3, 3), "window": (-175, 250), "patch": (32, 32, 32)}},
        sources=[source],
        arms={"real": {}},
        recognition={"arms": ["real"]},
        downloads={"retries": 0, "timeout": 5} | (downloads or {}),
    )


def source(tmp_path, name="mine", **keys):
    return PublicSource(name=name, kind="public", root=str(tmp_path / "{entry}"), **keys)


def download(tmp_path, configured, **downloads):
    output = tmp_path / "out" / "cases.csv"
    download_source(study(configured, downloads), configured.name, output)
    return read_table(output, RAW_CASES)


LAYOUT = {"images": "images/*.nii.gz", "labels": "labels/*.nii.gz", "label_map": {1: "liver", 2: "liver_tumor"}}


def test_a_gated_source_tells_page_license_task_and_folder_and_then_takes_what_was_put_there(tmp_path, entries, capsys):
    entries(
        "mine",
        access="request",
        page="https://example.org/form",
        how="Ask, then unpack here",
        limits=["non-commercial"],
        volumes=4,
        layout=LAYOUT,
    )
    configured = source(tmp_path)
    check_source(configured)  # the plan of a study does not need the files
    with pytest.raises(UserError, match=r"sources\.mine: .*mine has no files of 'mine'") as caught:
        download(tmp_path, configured)
    assert "\n" not in str(caught.value)
    told = capsys.readouterr().err
    for words in (
        "https://example.org/form",
        "CC BY 4.0 (no commercial use)",
        "Ask, then",
        str(tmp_path / "mine"),
        "images/*.nii.gz, labels labels/*.nii.gz, 4 volumes",
    ):
        assert words in told
    for name in ("images/a.nii.gz", "images/b.nii.gz", "labels/b.nii.gz"):
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_bytes(b"not read")
    cases = download(tmp_path, configured)
    assert cases["case_id"].tolist() == ["a", "b"]
    assert cases["labeled"].tolist() == [False, True]
    told = capsys.readouterr().out
    assert "the catalog states 4 volumes, 2 were found" in told
    assert "1 of 2 images have no label file (labels/*.nii.gz)" in told
    (tmp_path / "mine" / "images" / "b.nii.gz").write_bytes(b"")
    with pytest.raises(UserError, match=r"b\.nii\.gz: the file is empty"):
        download(tmp_path, configured)


def test_a_variable_that_is_not_set_is_told_and_no_folder_is_called_after_it(tmp_path, entries, monkeypatch):
    entries("mine", access="request", how="Ask", layout=LAYOUT)
    monkeypatch.delenv("CT_FOLDER", raising=False)
    configured = PublicSource(name="mine", kind="public", root="${CT_FOLDER}/{entry}")
    with pytest.raises(UserError, match=r"sources\.mine\.root: the variable CT_FOLDER is not set \(export CT_FOLDER="):
        check_source(configured)
    monkeypatch.setenv("CT_FOLDER", str(tmp_path))
    assert public.folder_of(configured) == tmp_path / "mine"


def test_tumors_of_a_source_count_as_annotated_if_the_study_says_so(tmp_path, entries):
    entries("mine", access="request", how="Ask", roles=["pool"], layout=LAYOUT | {"tumors_annotated": False})
    for name in ("images/a.nii.gz", "labels/a.nii.gz"):
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_bytes(b"not read")
    assert not download(tmp_path, source(tmp_path))["labeled"].any()
    assert download(tmp_path, source(tmp_path, tumors_annotated=True))["labeled"].all()


def test_a_folder_that_cannot_be_written_to_is_told_in_a_line(tmp_path, entries, server):
    address, _ = server
    entries("mine", listing={"kind": "https", "files": [f"{address}/b/a.nii.gz"]}, layout={"images": "*.nii.gz"})
    (tmp_path / "mine").write_bytes(b"a file where the folder should be")
    with pytest.raises(UserError, match=r"sources\.mine: .*mine.* cannot be read or written \(") as caught:
        download(tmp_path, source(tmp_path))
    assert "\n" not in str(caught.value)


def test_only_one_job_at_a_time_unpacks_into_a_folder(tmp_path, capsys):
    first, second = threading.Event(), threading.Event()

    def wait():
        with alone(tmp_path):
            second.set()

    with alone(tmp_path):
        thread = threading.Thread(target=wait)
        thread.start()
        first.wait(0.2)
        assert not second.is_set()
    thread.join(10)
    assert second.is_set()
    assert f"waiting: another job works in {tmp_path}" in capsys.readouterr().err
    with alone(tmp_path / "absent"):
        pass


def test_files_with_other_names_are_told_by_key_and_pattern(tmp_path, entries):
    entries("mine", access="request", how="Ask", layout=LAYOUT)
    (tmp_path / "mine" / "scans").mkdir(parents=True)
    with pytest.raises(UserError, match=r"images: nothing in .* matches 'images/\*\.nii\.gz'.*catalog describes 'mine'"):
        download(tmp_path, source(tmp_path))


def archive(*names):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name in names:
            member = tarfile.TarInfo(f"Task/{name}")
            member.size = 3
            tar.addfile(member, io.BytesIO(b"abc"))
    return stream.getvalue()


def test_an_archive_is_fetched_checked_unpacked_and_indexed_and_a_second_time_needs_no_network(tmp_path, entries, server):
    address, files = server
    files["b/Task.tar"] = archive("images/a.nii.gz", "labels/a.nii.gz", "images/b.nii.gz", "labels/b.nii.gz")
    remote = {
        "path": "Task.tar",
        "url": f"{address}/b/Task.tar",
        "checksum": f"md5:{hashlib.md5(files['b/Task.tar']).hexdigest()}",
    }
    layout = {**LAYOUT, "images": "Task/Task/images/*.nii.gz", "labels": "Task/Task/labels/*.nii.gz"}
    entries("mine", listing={"kind": "https", "files": [remote]}, archives=["*.tar"], layout=layout)
    first = download(tmp_path, source(tmp_path))
    assert first["case_id"].tolist() == ["a", "b"]
    assert first["labeled"].all()
    files.clear()
    assert download(tmp_path, source(tmp_path), offline=True).equals(first)
    assert download(tmp_path, source(tmp_path, limit=1))["case_id"].tolist() == ["a"]


def test_files_in_the_way_of_an_archive_are_told_before_it_is_fetched(tmp_path, entries, server):
    address, files = server
    files["b/Task.tar"] = archive("images/a.nii.gz")
    remote = {"kind": "https", "files": [f"{address}/b/Task.tar"]}
    entries("mine", listing=remote, archives=["Task.tar"], layout={"images": "Task/Task/images/*.nii.gz"})
    (tmp_path / "mine" / "Task").mkdir(parents=True)
    (tmp_path / "mine" / "Task" / "mine.nii.gz").write_bytes(b"somebody's own")
    with pytest.raises(UserError, match=r"Task: holds files that do not come from Task\.tar; .* kind folder"):
        download(tmp_path, source(tmp_path))
    assert not (tmp_path / "mine" / "Task.tar").exists()


def test_only_files_of_the_first_patients_are_fetched_where_they_can_be_told_apart(tmp_path, entries, server):
    address, files = server
    files |= {f"b/{number:03d}.nii.gz": b"abc" for number in range(6)}
    repeat = {
        "ranges": [[0, 1], [3, 5]],
        "files": [{"path": "c{number:03d}.nii.gz", "url": address + "/b/{number:03d}.nii.gz"}],
    }
    entries("mine", repeat=repeat, patient=r"c(\d+)\.nii", layout={"images": "*.nii.gz"})
    assert download(tmp_path, source(tmp_path, limit=3))["case_id"].tolist() == ["c000", "c001", "c003"]
    assert sorted(path.name for path in (tmp_path / "mine").glob("*.nii.gz")) == ["c000.nii.gz", "c001.nii.gz", "c003.nii.gz"]
    assert len(download(tmp_path, source(tmp_path))) == 5


def test_paths_that_belong_to_no_patient_are_always_taken():
    paths = ["p2/a", "p1/a", "p1/b", "readme"]
    assert public.of_first_patients(paths, r"^(p\d)/", 1) == {"p1/a", "p1/b", "readme"}
    assert public.of_first_patients(paths, "", 1) == set(paths)
    assert public.of_first_patients(paths, r"^(p\d)/", None) == set(paths)


def commons(tmp_path, monkeypatch, files):
    """An index with two patients, each with two CT series and a label that tells which one is meant."""
    rows = []
    for patient, right in (("P1", "2"), ("P2", "1")):
        for number in ("1", "2"):
            uid = f"1.{patient[1]}.{number}"
            rows.append(["CT", patient, uid, 30])
            files |= {f"bucket/{uid}/{k}.dcm": dicom(uid, CTImageStorage, InstanceNumber=k) for k in range(2)}
        rows.append(["SEG", patient, f"1.{patient[1]}.9", 1])
        files[f"bucket/1.{patient[1]}.9/s.dcm"] = segmentation(
            f"1.{patient[1]}.9", f"1.{patient[1]}.{right}", "Liver", "Mass 1", "Vein"
        )
    names = ["Modality", "PatientID", "SeriesInstanceUID", "instanceCount"]
    fixed = {
        "collection_id": "c",
        "StudyDate": "2001-01-01",
        "SeriesNumber": "1",
        "SeriesDescription": "x",
        "series_size_MB": 1.0,
    }
    fixed |= {"analysis_result_id": None, "license_short_name": "CC BY 4.0", "source_DOI": "10.0/x"}
    entries = [dict(zip(names, row, strict=True)) | fixed for row in rows]
    for entry in entries:
        entry["StudyInstanceUID"] = f"study-{entry['PatientID']}"
        entry["series_aws_url"] = f"s3://bucket/{entry['SeriesInstanceUID']}/*"
    pq.write_table(pa.Table.from_pylist(entries), tmp_path / "index.parquet")
    monkeypatch.setenv(idc.INDEX_VARIABLE, str(tmp_path / "index.parquet"))


def test_series_of_the_commons_are_fetched_paired_by_what_the_label_tells_and_licensed(
    tmp_path, entries, server, monkeypatch, capsys
):
    address, files = server
    commons(tmp_path, monkeypatch, files)
    rule = {"modality": "SEG", "segments": {"mass": "liver_tumor", "^liver$": "liver"}}
    entries("mine", commons={"collection": "c", "labels": [rule]}, volumes=2)
    endpoints = {"s3": address + "/{bucket}"}
    cases = download(tmp_path, source(tmp_path), endpoints=endpoints)
    assert cases["case_id"].tolist() == ["P1", "P2"]
    assert cases["labeled"].all()
    (label,) = json.loads(cases["labels"][0])
    assert label["map"] == {"Liver": "liver", "Mass 1": "liver_tumor"}
    assert read_label(tmp_path / label["path"]).names == ("Liver", "Mass 1", "Vein")
    with (tmp_path / "out" / "series.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["patient"], row["modality"], row["uid"], row["license"]) for row in rows] == [
        ("P1", "CT", "1.1.2", "CC BY 4.0"),
        ("P1", "SEG", "1.1.9", "CC BY 4.0"),
        ("P2", "CT", "1.2.1", "CC BY 4.0"),
        ("P2", "SEG", "1.2.9", "CC BY 4.0"),
    ]
    assert cases["image"][0] == f"{tmp_path}/mine/{rows[0]['folder']}"
    assert len(list((tmp_path / "mine").rglob("*.dcm"))) == 2 * (2 + 1)  # the other CT series are not fetched
    assert "segment 'Vein' in 2 files: ignored" in capsys.readouterr().out
    files.clear()
    assert download(tmp_path, source(tmp_path), endpoints=endpoints, offline=True).equals(cases)
    assert download(tmp_path, source(tmp_path, limit=1), endpoints=endpoints, offline=True)["case_id"].tolist() == ["P1"]


def test_a_source_that_is_not_in_the_catalog_or_cannot_have_own_labels_is_refused(entries):
    entries("mine", commons={"collection": "c"})
    with pytest.raises(UserError, match=r"sources\.other\.name: 'other' is not in the catalog"):
        check_source(PublicSource(name="other", kind="public"))
    with pytest.raises(UserError, match=r"sources\.other\.entry: 'mini' .* did you mean 'mine'"):
        check_source(PublicSource(name="other", kind="public", entry="mini"))
    extra = [{"files": "organs/*.nii.gz", "label_map": {1: "liver"}}]
    with pytest.raises(UserError, match=r"sources\.mine\.extra_labels"):
        check_source(PublicSource(name="mine", kind="public", extra_labels=extra))


def test_an_entry_or_a_folder_that_changes_downloads_a_source_again(entries, monkeypatch):
    entries("mine", access="request", how="Ask", layout=LAYOUT)
    configured = PublicSource(name="mine", kind="public")
    monkeypatch.delenv("FREETUMOR_DATA", raising=False)
    before = surroundings_of(configured)
    assert surroundings_of(configured) == before
    monkeypatch.setenv("FREETUMOR_DATA", "/elsewhere")
    elsewhere = surroundings_of(configured)
    entries("mine", access="request", how="Ask", layout={**LAYOUT, "label_map": {1: "liver"}})
    assert len({before, elsewhere, surroundings_of(configured)}) == 3
