"""A transfer that breaks off anywhere ends with the right file, which has its final name no earlier, at little more cost."""

import hashlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from freetumor.core.errors import UserError
from freetumor.download.transfer.part import part_path
from freetumor.download.transfer.remote import RemoteFile
from tests.conftest import REPOSITORY
from tests.download.transfer.conftest import Room, sha256
from tests.download.transfer.server import Fault

CUTS, KILLS = 200, 4
JOB = """
import sys
from pathlib import Path
from freetumor.core.config_downloads import DownloadSettings
from freetumor.download.transfer.remote import RemoteFile
from freetumor.download.transfer.transfer import transfer
url, size, checksum, root = sys.argv[1], int(sys.argv[2]), sys.argv[3] or None, Path(sys.argv[4])
settings = DownloadSettings(backoff=0, timeout=30)
transfer([RemoteFile("a.bin", (url,), size, checksum)], root / "raw", root / "ledger.tsv", settings, "source")
"""


@pytest.mark.parametrize("published", [True, False], ids=["hash published", "hash unknown"])
def test_two_hundred_cuts_end_with_the_right_file_and_cost_a_tenth_more_at_most(server, tmp_path, published):
    """Half of the cuts are mended within the job, half by the next one: the job of the second kind tries but once."""
    rng = np.random.default_rng(6)
    for number in range(CUTS // 2):
        data = rng.bytes(int(rng.integers(2_000, 60_000)))
        cut = int(rng.integers(0, len(data)))
        room, path = Room(tmp_path / str(number)), f"/{number}"
        remote = RemoteFile("a.bin", (server.add(path, data, Fault(cut=cut)),), len(data), sha256(data) if published else None)
        if number % 2:
            with pytest.raises(UserError, match=r"a\.bin: not fetched: 127\.0\.0\.1 "):
                room.fetch(remote, retries=0)
            assert room.names in ([], [".a.bin.part", ".a.bin.part.json"])
        [file] = room.fetch(remote)
        assert hashlib.sha256(file.read_bytes()).digest() == hashlib.sha256(data).digest()
        assert room.names == ["a.bin"]
        assert server.sent[path] <= 1.1 * len(data)


@pytest.mark.parametrize("published", [True, False], ids=["hash published", "hash unknown"])
def test_a_killed_process_is_continued_by_the_next(server, tmp_path, published):
    rng = np.random.default_rng(7)
    for number in range(KILLS // 2):
        data = rng.bytes(300_000)
        cut = int(rng.integers(1, len(data)))
        root, path = tmp_path / str(number), f"/{number}"
        url = server.add(path, data, Fault(cut=cut, stall=20))
        checksum = sha256(data) if published else ""
        command = [sys.executable, "-c", JOB, url, str(len(data)), checksum, str(root)]
        job = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(REPOSITORY / "scripts"), "TMPDIR": str(tmp_path)})
        part = part_path(root / "raw" / "a.bin")
        deadline = time.monotonic() + 30
        while not (part.exists() and part.stat().st_size == cut):
            assert time.monotonic() < deadline and job.poll() is None
            time.sleep(0.01)
        job.send_signal(signal.SIGKILL)
        assert job.wait() == -signal.SIGKILL
        room = Room(root)
        assert room.names == [".a.bin.part", ".a.bin.part.json"]
        [file] = room.fetch(RemoteFile("a.bin", (url,), len(data), checksum or None))
        assert file.read_bytes() == data
        assert room.names == ["a.bin"]
        assert server.sent[path] <= 1.1 * len(data)


def test_an_answer_that_breaks_off_again_and_again_ends_as_long_as_each_try_gets_further(server, room, data, remote):
    server.plans["/a.nii.gz"].extend([Fault(cut=10_000)] * 15)  # with two retries
    room.fetch(remote)
    assert room.names == ["images/a.nii.gz"]
    assert server.sent["/a.nii.gz"] == len(data)


def test_a_server_that_never_gets_further_is_given_up(server, room, remote):
    server.plans["/a.nii.gz"].extend([Fault(cut=10_000)] + [Fault(cut=0)] * 20)
    with pytest.raises(UserError, match=r"the connection broke or could not be made .3 tries"):
        room.fetch(remote)
    assert len(server.seen["/a.nii.gz"]) == 4


@pytest.mark.parametrize("published", [True, False])
def test_a_server_that_ignores_ranges_sends_all_again(server, room, data, published):
    url = server.add("/a", data, Fault(cut=50_000), Fault(ignore_range=True))
    [file] = room.fetch(RemoteFile("a", (url,), None, sha256(data) if published else None))
    assert file.read_bytes() == data


def test_a_changed_entity_tag_begins_again(server, room, data):
    url = server.add("/a", b"old" + data, Fault(cut=50_000))
    with pytest.raises(UserError):
        room.fetch(RemoteFile("a", (url,)), retries=0)
    server.files["/a"] = data
    [file] = room.fetch(RemoteFile("a", (url,)))
    assert file.read_bytes() == data
    assert '"' in server.seen["/a"][1]["if-range"]


def test_a_server_that_continues_a_changed_file_is_found_out(server, room, data):
    """By its entity tag if no hash is published, by the hash if it hides the tag."""
    url = server.add("/a", b"old" + data[3:], Fault(cut=50_000))
    with pytest.raises(UserError):
        room.fetch(RemoteFile("a", (url,)), retries=0)
    server.files["/a"] = data
    server.plans["/a"].append(Fault(ignore_if_range=True))
    [file] = room.fetch(RemoteFile("a", (url,)))
    assert file.read_bytes() == data

    server.etags["/b"] = None
    url = server.add("/b", b"old" + data[3:], Fault(cut=50_000))
    with pytest.raises(UserError):
        room.fetch(RemoteFile("b", (url,), None, sha256(data)), retries=0)
    server.files["/b"] = data
    [file] = room.fetch(RemoteFile("b", (url,), None, sha256(data)))
    assert file.read_bytes() == data
    assert "if-range" not in server.seen["/b"][1]
    assert room.names == ["a", "b"]


def test_without_hash_and_tag_nothing_is_continued(server, room, data):
    server.etags["/a"] = None
    url = server.add("/a", data, Fault(cut=50_000))
    [file] = room.fetch(RemoteFile("a", (url,)))
    assert file.read_bytes() == data
    assert all("range" not in headers for headers in server.seen["/a"])


def test_a_weak_entity_tag_continues_nothing(server, room, data):
    server.etags["/a"] = 'W/"1"'
    url = server.add("/a", data, Fault(cut=50_000))
    [file] = room.fetch(RemoteFile("a", (url,)))
    assert file.read_bytes() == data
    assert all("range" not in headers for headers in server.seen["/a"])


def test_a_server_that_continues_at_the_wrong_place_begins_again(server, room, data):
    url = server.add("/a", data, Fault(cut=50_000), Fault(shift=7))
    [file] = room.fetch(RemoteFile("a", (url,)))
    assert file.read_bytes() == data


def test_a_job_killed_between_the_last_byte_and_the_name_fetches_nothing_again(server, room, data, remote, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("freetumor.download.transfer.part.Part.finish", killed)
        with pytest.raises(KeyboardInterrupt):
            room.fetch(remote)
    assert room.names == ["images/.a.nii.gz.part", "images/.a.nii.gz.part.json"]
    room.fetch(remote)
    assert room.names == ["images/a.nii.gz"]
    assert len(server.seen["/a.nii.gz"]) == 1


def test_a_copy_that_lost_its_note_is_continued_if_a_hash_is_published(server, room, data, remote):
    part = part_path(room.folder / remote.path)
    part.parent.mkdir(parents=True)
    for there in (100_000, len(data)):
        part.write_bytes(data[:there])
        [file] = room.fetch(remote)
        assert file.read_bytes() == data
        file.unlink()
    assert server.sent["/a.nii.gz"] == 100_000


def test_a_damaged_copy_is_thrown_away(server, room, data, remote):
    part = part_path(room.folder / remote.path)
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(100_000))
    [file] = room.fetch(remote)
    assert file.read_bytes() == data
    assert room.names == [remote.path]


def test_two_processes_that_want_one_file_fetch_it_once(server, room, data, tmp_path):
    url = server.add("/a", data, Fault(cut=50_000, stall=0.5))
    command = [sys.executable, "-c", JOB, url, str(len(data)), sha256(data), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "scripts"), "TMPDIR": str(tmp_path)}
    jobs = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert [job.wait(timeout=30) for job in jobs] == [0, 0]
    assert room.names == ["a.bin"]
    assert (room.folder / "a.bin").read_bytes() == data
    assert server.sent["/a"] == len(data)
