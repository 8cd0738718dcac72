"""A file under its final name is the right one: by its published hash, or by the ledger that recorded it."""

import csv
import hashlib
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from freetumor.core.errors import UserError
from freetumor.download.transfer import fetch
from freetumor.download.transfer.ledger import COLUMNS, Entry, Ledger, read_ledger
from freetumor.download.transfer.part import Part
from freetumor.download.transfer.remote import RemoteFile
from tests.download.transfer.conftest import Room, sha256


def flipped(data, place=100):
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def md5(data):
    return f"md5:{hashlib.md5(data, usedforsecurity=False).hexdigest()}"


@pytest.mark.parametrize("kind", [sha256, md5])
@pytest.mark.parametrize("place", [0, 100, 199_999])
def test_one_wrong_bit_is_found_kept_aside_and_told_with_both_hashes(server, room, data, kind, place):
    wrong = flipped(data, place)
    remote = RemoteFile("a.nii.gz", (server.add("/a", wrong),), len(data), kind(data))
    with pytest.raises(UserError) as caught:
        room.fetch(remote)
    message = str(caught.value)
    assert kind(data).partition(":")[2] in message
    assert kind(wrong).partition(":")[2] in message
    assert "kept as a.nii.gz.bad; see docs/how-to/download.md" in message
    assert "\n" not in message
    assert room.names == ["a.nii.gz.bad"]
    assert (room.folder / "a.nii.gz.bad").read_bytes() == wrong
    assert len(server.seen["/a"]) == 1  # the same bytes would come again


def test_a_wrong_copy_of_one_mirror_does_not_stop_another(server, room, data):
    remote = RemoteFile("a", (server.add("/a", flipped(data)), server.add("/b", data)), None, sha256(data))
    [file] = room.fetch(remote)
    assert file.read_bytes() == data
    assert room.names == ["a", "a.bad"]


def test_what_is_there_is_not_fetched_and_not_read_again(server, room, remote, monkeypatch):
    room.fetch(remote)
    before = room.ledger.read_bytes()
    monkeypatch.setattr("freetumor.download.transfer.fetch.hashed", None)
    assert room.fetch(remote) == [room.folder / remote.path]
    assert len(server.seen) == 1
    assert room.ledger.read_bytes() == before


def test_a_file_that_changed_on_disk_is_kept_aside_and_fetched_again(server, room, data, remote, capsys):
    [file] = room.fetch(remote)
    file.write_bytes(flipped(data))
    [file] = room.fetch(remote)
    assert file.read_bytes() == data
    assert room.names == ["images/a.nii.gz", "images/a.nii.gz.bad"]
    assert "has changed since it was fetched" in capsys.readouterr().err


def test_a_right_file_that_another_job_puts_there_meanwhile_is_not_set_aside(server, room, data, remote, monkeypatch):
    [file] = room.fetch(remote)
    file.write_bytes(flipped(data))
    hashed = fetch.hashed

    def slow(path, kinds):
        digests = hashed(path, kinds)
        if path.read_bytes() != data:
            (path.parent / "new").write_bytes(data)
            (path.parent / "new").replace(path)
        return digests

    monkeypatch.setattr(fetch, "hashed", slow)
    assert room.fetch(remote)[0].read_bytes() == data
    assert room.names == ["images/a.nii.gz"]
    assert len(server.seen["/a.nii.gz"]) == 1


def test_a_copy_that_another_job_writes_into_is_thrown_away(server, room, data, monkeypatch):
    append, strangers = Part.append, [b"stranger"]

    def disturbed(part, piece):
        if strangers:
            part.path.open("ab").write(strangers.pop())
        append(part, piece)

    monkeypatch.setattr(Part, "append", disturbed)
    [file] = room.fetch(RemoteFile("a", (server.add("/a", data),)))
    assert file.read_bytes() == data
    assert len(server.seen["/a"]) == 2


def test_a_file_that_was_only_touched_is_read_and_kept(server, room, remote):
    [file] = room.fetch(remote)
    os.utime(file, (1, 1))
    room.fetch(remote)
    assert len(server.seen["/a.nii.gz"]) == 1
    assert len(read_ledger(room.ledger)) == 1


def test_a_file_that_somebody_put_there_counts_if_its_hash_is_right(room, data):
    nowhere = ("http://127.0.0.1:9/a",)
    room.folder.mkdir()
    (room.folder / "a").write_bytes(data)
    room.fetch(RemoteFile("a", nowhere, None, sha256(data)), offline=True)
    assert read_ledger(room.ledger)["a"].url == ""
    (room.folder / "b").write_bytes(data)
    with pytest.raises(UserError, match="b: was not fetched from here, and nothing tells whether it is complete"):
        room.fetch(RemoteFile("b", nowhere))
    room.fetch(RemoteFile("b", nowhere, len(data)))
    assert read_ledger(room.ledger)["b"].verified == "unverified"


def test_an_unknown_hash_is_recorded_on_first_use_and_a_later_difference_is_an_error(server, room, data, capsys):
    remote = RemoteFile("a", (server.add("/a", data),))
    [file] = room.fetch(remote)
    assert "1 of 1 files have no published checksum" in capsys.readouterr().out
    assert read_ledger(room.ledger)["a"].verified == "unverified"
    file.unlink()
    server.files["/a"] = flipped(data)
    with pytest.raises(UserError, match=r"recorded in ledger\.tsv; kept as a\.bad"):
        room.fetch(remote)
    assert room.names == ["a.bad"]
    server.files["/a"] = data
    room.fetch(remote)
    assert read_ledger(room.ledger)["a"].verified == "ledger"


def test_a_new_published_hash_fetches_the_new_version(server, room, data):
    url = server.add("/a", data)
    room.fetch(RemoteFile("a", (url,), None, sha256(data)))
    new = server.files["/a"] = flipped(data)
    [file] = room.fetch(RemoteFile("a", (url,), None, sha256(new)))
    assert file.read_bytes() == new
    assert room.names == ["a", "a.bad"]


def test_the_ledger_tells_what_came_from_where_when_and_how_it_was_checked(server, room, data):
    files = [
        RemoteFile("a/x", (server.add("/x", data) + "?token=secret&format=raw",), None, sha256(data)),
        RemoteFile("b", (server.add("/b", data[:500]),), 500, md5(data[:500])),
        RemoteFile("c", (server.add("/c", b"c"),)),
    ]
    started = int(time.time())
    room.fetch(*files, workers=1)
    with room.ledger.open(encoding="utf-8", newline="") as stream:
        rows = {row["path"]: row for row in csv.DictReader(stream, delimiter="\t")}
    assert tuple(rows["b"]) == COLUMNS
    assert list(rows) == ["a/x", "b", "c"]
    assert [rows[path]["bytes"] for path in rows] == ["200000", "500", "1"]
    assert [rows[path]["verified"] for path in rows] == [sha256(data), md5(data[:500]), "unverified"]
    assert rows["b"]["sha256"] == hashlib.sha256(data[:500]).hexdigest()
    assert rows["a/x"]["url"] == f"{server.url}/x?token=…&format=raw"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", rows["b"]["fetched"])
    for path, entry in read_ledger(room.ledger).items():
        assert started <= entry.moment <= time.time()
        assert (room.folder / path).stat().st_mtime == entry.moment


def test_a_row_cut_off_by_a_crash_is_removed_by_the_next(tmp_path):
    path = tmp_path / "ledger.tsv"
    entries = [Entry(name, "", "2025-01-01T00:00:00Z", 1, "0" * 64, "unverified") for name in "abc"]
    Ledger(path).add(entries[0])
    complete = path.read_bytes()
    Ledger(path).add(entries[1])
    path.write_bytes(path.read_bytes()[:-20])
    assert list(read_ledger(path)) == ["a"]
    Ledger(path).add(entries[2])
    assert list(read_ledger(path)) == ["a", "c"]
    assert path.read_bytes().startswith(complete)


def test_many_writers_lose_no_row(tmp_path):
    path = tmp_path / "ledger.tsv"
    with ThreadPoolExecutor(8) as pool:
        for number in range(64):
            entry = Entry(f"{number}\t\n", "", "2025-01-01T00:00:00Z", 1, "0" * 64, "unverified", "e\ttag")
            pool.submit(Ledger(path).add, entry)
    assert sorted(int(name) for name in read_ledger(path)) == list(range(64))


def test_something_else_is_not_taken_for_a_ledger(tmp_path):
    (tmp_path / "ledger.tsv").write_text("case_id,image\n")
    with pytest.raises(UserError, match="not a ledger of downloads"):
        read_ledger(tmp_path / "ledger.tsv")


def test_a_folder_in_the_place_of_a_file_and_links_out_of_the_folder_are_refused(server, room, data, tmp_path):
    (room.folder / "a").mkdir(parents=True)
    (room.folder / "out").symlink_to(tmp_path)
    url = server.add("/a", data)
    with pytest.raises(UserError, match="a: is in the way of a file to fetch"):
        room.fetch(RemoteFile("a", (url,)))
    with pytest.raises(UserError, match="out: a link leads out of the folder"):
        room.fetch(RemoteFile("out/x", (url,)))
    with pytest.raises(UserError, match="b: two files to fetch have this path"):
        room.fetch(RemoteFile("b", (url,)), RemoteFile("b", (url,)))
    with pytest.raises(UserError, match="b: to fetch are a file of this path and files below it"):
        room.fetch(RemoteFile("b", (url,)), RemoteFile("b/c/d", (url,)))
    assert not server.seen


def test_the_same_ledger_but_for_the_time_comes_of_the_same_files(server, room, data, tmp_path):
    other = Room(tmp_path / "other")
    for one in (room, other):
        one.fetch(RemoteFile("a", (server.add("/a", data),)))
    one, two = (replace(read_ledger(each.ledger)["a"], fetched="") for each in (room, other))
    assert one == two
