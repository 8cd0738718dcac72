"""What servers do wrong is seen, tried again if it may pass, and told in one line if it does not."""

import gzip
import socket
import time
from email.utils import formatdate
from functools import partial

import pytest

from freetumor.core.errors import UserError
from freetumor.download.transfer.http import Client, Passing
from freetumor.download.transfer.meter import Meter
from freetumor.download.transfer.remote import RemoteFile
from tests.download.transfer.conftest import settings, sha256
from tests.download.transfer.server import Fault, Server

PAGE = b"\n<!DOCTYPE html>\n<html><body>Please log in</body></html>"
REFUSED = [
    pytest.param({"headers": {"Content-Type": "text/html; charset=utf-8"}, "body": PAGE}, "a web page instead", id="html"),
    pytest.param({"body": PAGE.ljust(200_000)}, "a web page instead", id="html in disguise"),
    pytest.param({"status": 404}, "answered 404", id="404"),
    pytest.param({"status": 401}, "answered 401, access denied; add the host to netrc", id="401"),
    pytest.param({"status": 403}, "answered 403, access denied", id="403"),
    pytest.param({"body": b"short"}, "offers 5 bytes, where 200000 were expected", id="another size"),
    pytest.param({"body": bytes(200_001), "chunked": True}, "sends more than the 200000 bytes", id="longer than said"),
    pytest.param({"headers": {"Content-Encoding": "br"}}, "in an encoding that was not asked for", id="brotli"),
    pytest.param({"status": 302, "headers": {"Location": "/a.nii.gz"}}, "redirects in a circle", id="circle"),
    pytest.param({"status": 302, "headers": {"Location": "ftp://x/y"}}, "no address", id="no address"),
    pytest.param({"status": 429, "headers": {"Retry-After": "86400"}}, "answered 429 and asks to wait 86400 s", id="patience"),
]
PASSING = [
    pytest.param({"status": 500}, "answered 500 .3 tries.", id="500"),
    pytest.param({"status": 503}, "answered 503 .3 tries.", id="503"),
    pytest.param({"status": 429, "headers": {"Retry-After": "0"}}, "answered 429 .3 tries.", id="429"),
    pytest.param({"cut": 0}, "the connection broke .* .3 tries.", id="drop"),
    pytest.param({"body": b"x" * 500, "chunked": True}, "sent only 500 of 200000 bytes .3 tries.", id="short without length"),
]


@pytest.mark.parametrize(("fault", "message"), REFUSED)
def test_what_will_not_pass_is_told_after_one_try(server, room, remote, fault, message):
    server.plans["/a.nii.gz"].extend([Fault(**fault)] * (99 if fault.get("status") == 302 else 1))
    with pytest.raises(UserError, match=r"images/a\.nii\.gz: not fetched: 127\.0\.0\.1 .*" + message) as caught:
        room.fetch(remote)
    assert "\n" not in str(caught.value)
    assert "images/a.nii.gz" not in room.names
    server.plans["/a.nii.gz"].clear()
    room.fetch(remote)  # the server has been mended
    assert room.names == ["images/a.nii.gz"]


@pytest.mark.parametrize(("fault", "message"), PASSING)
def test_what_may_pass_is_tried_again_and_then_told(server, room, remote, fault, message):
    server.plans["/a.nii.gz"].extend([Fault(**fault)] * 2)
    room.fetch(remote)
    assert room.names == ["images/a.nii.gz"]
    (room.folder / remote.path).unlink()
    server.plans["/a.nii.gz"].extend([Fault(**fault)] * 9)
    with pytest.raises(UserError, match=message):
        room.fetch(remote)
    assert "images/a.nii.gz" not in room.names


def test_a_server_that_stalls_is_given_up_and_continued(server, room, data, remote):
    server.plans["/a.nii.gz"].append(Fault(cut=90_000, stall=5))
    started = time.monotonic()
    [file] = room.fetch(remote, timeout=0.2)
    assert time.monotonic() - started < 4
    assert file.read_bytes() == data
    assert server.sent["/a.nii.gz"] == len(data)


def test_a_body_shorter_than_said_is_not_taken_for_the_file(server, room, data):
    remote = RemoteFile("a", (server.add("/a", data, *[Fault(lie=10)] * 9),))
    with pytest.raises(UserError, match="the connection broke"):
        room.fetch(remote)
    assert "a" not in room.names
    room.fetch(remote)


def test_a_body_of_unknown_length_is_taken_only_if_a_size_or_a_hash_tells_its_end(server, room, data):
    url = server.add("/a", data, Fault(endless=True))
    with pytest.raises(UserError, match="does not say how long the file is"):
        room.fetch(RemoteFile("a", (url,)))
    assert room.names == []
    url = server.add("/b", data, Fault(endless=True, cut=500), Fault(endless=True))
    assert room.fetch(RemoteFile("b", (url,), size=len(data)))[0].read_bytes() == data
    url = server.add("/c", data, Fault(endless=True))
    assert room.fetch(RemoteFile("c", (url,), checksum=sha256(data)))[0].read_bytes() == data
    url = server.add("/d", data, Fault(endless=True, cut=500))
    with pytest.raises(UserError, match=r"is published; kept as d\.bad"):
        room.fetch(RemoteFile("d", (url,), checksum=sha256(data)))


def test_a_server_that_is_not_there_is_named(room):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UserError, match=r"a: not fetched: 127\.0\.0\.1 the connection broke or could not be made"):
        room.fetch(RemoteFile("a", (f"http://127.0.0.1:{port}/a",)), retries=0)


def test_the_pause_that_a_server_asks_for_is_kept(server, room, remote):
    server.plans["/a.nii.gz"].append(Fault(status=429, headers={"Retry-After": "1"}))
    started = time.monotonic()
    room.fetch(remote)
    assert 1 <= time.monotonic() - started < 5


def test_a_pause_may_be_given_as_a_date(server, room, remote):
    server.plans["/a.nii.gz"].append(Fault(status=503, headers={"Retry-After": formatdate(time.time() + 86400, usegmt=True)}))
    with pytest.raises(UserError, match=r"answered 503 and asks to wait 86\d\d\d s"):
        room.fetch(remote)


def test_pauses_double_up_to_a_limit_vary_by_a_half_and_are_the_same_every_time(monkeypatch):
    def pauses(*key):
        found = []
        client = Client(settings(retries=12, backoff=1.0))
        monkeypatch.setattr(client.stop, "wait", lambda seconds: bool(found.append(seconds)))
        with pytest.raises(Exception, match=r"again .13 tries."):
            client.persist(lambda: (_ for _ in ()).throw(Passing("again")), *key)
        return found

    one, other = pauses("a"), pauses("b")
    assert one == pauses("a") != other
    for number, pause in enumerate(one):
        middle = min(2.0**number, 200.0)
        assert middle / 2 <= pause <= middle * 1.5


def test_mirrors_are_tried_in_order_and_all_named_if_all_fail(server, room, data):
    with Server("localhost") as other:
        broken = [server.add("/404", data, *[Fault(status=404)] * 2), other.add("/500", data, *[Fault(status=500)] * 6)]
        good = server.add("/good", data)
        with pytest.raises(UserError, match=r"127\.0\.0\.1 answered 404; localhost answered 500 .3 tries."):
            room.fetch(RemoteFile("a", tuple(broken), len(data), sha256(data)))
        [file] = room.fetch(RemoteFile("a", (*broken, good), len(data), sha256(data)))
        assert file.read_bytes() == data
        assert good in room.ledger.read_text()


def test_a_mirror_continues_what_another_began_if_a_hash_is_published(server, room, data):
    urls = (server.add("/one", data, Fault(cut=150_000), *[Fault(status=404)] * 3), server.add("/two", data))
    [file] = room.fetch(RemoteFile("a", urls, len(data), sha256(data)))
    assert file.read_bytes() == data
    assert server.sent["/two"] == 50_000


def test_a_name_that_ends_in_gz_is_kept_as_it_is_though_the_server_calls_that_an_encoding(server, room):
    data = gzip.compress(b"x" * 1000)
    labeled = Fault(headers={"Content-Encoding": "gzip"})
    [file] = room.fetch(RemoteFile("a.nii.gz", (server.add("/a", data, labeled),), len(data), sha256(data)))
    assert file.read_bytes() == data
    with pytest.raises(UserError, match="in an encoding that was not asked for"):
        room.fetch(RemoteFile("a.nii", (server.add("/b", data, labeled),)))
    assert all(headers["accept-encoding"] == "identity" for seen in server.seen.values() for headers in seen)


def test_a_page_is_no_mistake_where_one_is_expected(server, room):
    [file] = room.fetch(RemoteFile("a.html", (server.add("/a", PAGE, Fault(headers={"Content-Type": "text/html"})),)))
    assert file.read_bytes() == PAGE


def test_an_empty_file_is_a_file(server, room):
    [file] = room.fetch(RemoteFile("a", (server.add("/a", b""),), 0, sha256(b"")))
    assert file.read_bytes() == b""
    assert room.names == ["a"]


def test_no_more_files_of_a_host_are_fetched_at_once_than_said(server, room):
    urls = [server.add(f"/{number}", bytes(1000), Fault(cut=500, stall=0.1)) for number in range(8)]
    room.fetch(*(RemoteFile(str(number), (url,)) for number, url in enumerate(urls)), workers=8, per_host=2)
    assert server.most_at_once == 2


def test_one_bad_file_does_not_keep_the_others_from_coming(server, room, data):
    files = [RemoteFile(f"{n:02}", (server.add(f"/{n}", data, *[Fault(status=404)] * (n in (3, 5))),)) for n in range(12)]
    with pytest.raises(UserError, match=r"source: 2 of 12 files failed, the first: .*03: not fetched"):
        room.fetch(*files)
    assert len(room.names) == 10
    room.fetch(*files)
    assert len(room.names) == 12


def test_a_host_that_answers_nothing_is_not_asked_for_everything(server, room):
    files = [RemoteFile(f"{n:03}", (f"{server.url}/{n}",)) for n in range(300)]
    with pytest.raises(UserError, match="source: 10 of 300 files failed"):
        room.fetch(*files)
    assert len(server.seen) < 30


def test_offline_opens_no_connection_and_names_what_is_missing(server, room, data, remote):
    others = [RemoteFile(name, (server.add(f"/{name}", data),)) for name in "bcdef"]
    with pytest.raises(UserError, match=r"source: downloads\.offline is true, but .*a\.nii\.gz, .*b, .*c and 3 more are m"):
        room.fetch(remote, *others, offline=True)
    assert not server.seen
    room.fetch(remote)
    room.fetch(remote, offline=True)
    with pytest.raises(UserError, match=r"/f is missing"):
        room.fetch(remote, others[-1], offline=True)
    assert len(server.seen) == 1


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(server, room, data):
    with pytest.raises(UserError, match=r"source: 900,000 TB are still to be fetched, but .* free"):
        room.fetch(RemoteFile("a", (server.add("/a", data),), 9 * 10**17))
    assert not server.seen


def test_a_disk_that_fills_up_is_told_and_the_copy_can_be_continued(server, room, data, remote, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("freetumor.download.transfer.part.Part.append", full)
        with pytest.raises(UserError, match=r"images/a\.nii\.gz: cannot be written: No space left on device"):
            room.fetch(remote)
    [file] = room.fetch(remote)
    assert file.read_bytes() == data


def test_progress_counts_bytes_once_though_some_came_twice(server, room, data, capsys, monkeypatch):
    files = [RemoteFile(name, (server.add(f"/{name}", data),), len(data)) for name in "ab"]
    room.fetch(*files)
    assert capsys.readouterr().err == ""  # short transfers are silent
    monkeypatch.setattr("freetumor.download.transfer.transfer.Meter", partial(Meter, interval=0.0))
    for file in files:
        (room.folder / file.path).unlink()
    server.plans["/a"].extend([Fault(cut=50_000), Fault(ignore_range=True)])
    room.fetch(*files)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("source: 2/2 files, 400 kB of 400 kB, ")
    assert last.endswith("finished in 0 s")
