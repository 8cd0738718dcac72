"""Logins go to their own host alone, and are written nowhere."""

import io
import logging
import os
import traceback
from pathlib import Path

import pytest
from pydantic import ValidationError
from requests import Request, Response

from freetumor.core.config import DownloadSettings
from freetumor.core.errors import UserError
from freetumor.download.transfer.hosts import HostCredentials
from freetumor.download.transfer.http import Client, Failure
from freetumor.download.transfer.listings import LISTINGS
from freetumor.download.transfer.remote import RemoteFile
from tests.download.transfer.conftest import settings
from tests.download.transfer.server import Fault, Server

TOKEN = "planted-8f2d6c"


@pytest.fixture
def other():
    """A server under another name of this machine."""
    with Server("localhost") as running:
        yield running


def logins(text):
    Path(os.environ["NETRC"]).write_text(text)


def given(server, path):
    return [headers.get("authorization") for headers in server.seen[path]]


@pytest.mark.parametrize(("endpoint", "variable"), [("hub", "HF_TOKEN"), ("record", "ZENODO_TOKEN"), ("nbia", "NBIA_TOKEN")])
def test_a_token_goes_to_its_endpoint_and_not_further(server, other, room, data, monkeypatch, endpoint, variable):
    monkeypatch.setenv(variable, TOKEN)
    target = other.add("/store", data)
    url = server.add("/a", data, Fault(status=302, headers={"Location": "/b"}))
    server.add("/b", data, Fault(status=307, headers={"Location": target}))
    room.fetch(RemoteFile("a", (url,)), endpoints={endpoint: server.url})
    assert given(server, "/a") == given(server, "/b") == [f"Bearer {TOKEN}"]
    assert given(other, "/store") == [None]


def test_a_token_does_not_go_to_another_port_or_host(server, other, room, data, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    room.fetch(RemoteFile("a", (server.add("/a", data),)), RemoteFile("b", (other.add("/b", data),)))
    assert given(server, "/a") == given(other, "/b") == [None]


def test_each_host_of_a_redirect_gets_its_own_login_of_netrc(server, other, room, data):
    logins("machine 127.0.0.1 login anna password one\nmachine localhost login bert password two\n")
    url = server.add("/a", data, Fault(status=302, headers={"Location": other.add("/b", data)}))
    room.fetch(RemoteFile("a", (url,)))
    assert given(server, "/a") == ["Basic YW5uYTpvbmU="]
    assert given(other, "/b") == ["Basic YmVydDp0d28="]


def test_a_host_that_is_not_in_netrc_gets_no_login(server, other, room, data):
    logins("machine 127.0.0.1 login anna password one\n")
    url = server.add("/a", data, Fault(status=302, headers={"Location": other.add("/b", data)}))
    room.fetch(RemoteFile("a", (url,)))
    assert given(other, "/b") == [None]


def test_nothing_is_sent_over_plain_http_to_another_machine(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    logins("machine example.org login anna password one\n")
    sign = HostCredentials(settings(endpoints={"hub": "http://hub.example"}))
    for url in ("http://hub.example/a", "http://example.org/a"):
        assert "Authorization" not in sign(Request("GET", url).prepare()).headers
    assert "Authorization" in sign(Request("GET", "https://example.org/a").prepare()).headers
    assert "Authorization" not in sign(Request("GET", "https://hub.example/a").prepare()).headers


def test_no_redirect_leaves_encryption(monkeypatch):
    answers = [Response(), Response()]
    answers[0].url, answers[1].url = "https://example.org/a", "http://example.org/a"
    answers[1].status_code, answers[1].history, answers[1].raw = 200, answers[:1], io.BytesIO()
    monkeypatch.setattr("requests.Session.get", lambda *_, **__: answers[1])
    with pytest.raises(Failure, match="redirects to an address without encryption"), Client(settings()).open(answers[0].url):
        pass


def test_tokens_are_in_no_output_log_ledger_note_or_error(server, other, room, data, monkeypatch, capfd, caplog):
    """Planted in the environment, netrc, the query of an address, and of one that a server redirects to."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    logins(f"machine localhost login {TOKEN} password {TOKEN}\n")
    signed = other.add("/signed", data, Fault(cut=1000), *[Fault(status=500)] * 2, Fault(status=403)) + f"?signature={TOKEN}"
    again = Fault(status=302, headers={"Location": signed, "ETag": '"1"'})
    url = server.add("/a", data, *[again] * 9) + f"?token={TOKEN}"
    remote = RemoteFile("a", (url, f"http://127.0.0.1:9/x?token={TOKEN}"))
    with pytest.raises(UserError) as caught:
        room.fetch(remote, endpoints={"hub": server.url})
    room.fetch(remote, endpoints={"hub": server.url})
    with pytest.raises(UserError) as listed:
        LISTINGS["record"]({"record": 1}, settings(endpoints={"record": other.url}))
    assert TOKEN in str(server.seen) + str(other.seen)  # it was used
    kept = "".join(path.read_text(errors="replace") for path in room.folder.parent.rglob("*") if path.is_file())
    errors = "".join("".join(traceback.format_exception(error.value)) for error in (caught, listed))
    printed = capfd.readouterr()
    for text in (kept, errors, printed.out, printed.err, caplog.text, repr(remote)):
        assert TOKEN not in text


def test_a_refused_login_names_the_variable_and_not_its_value(server, room, data, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    url = server.add("/a", data, Fault(status=401))
    with pytest.raises(UserError, match="answered 401, access denied; set HF_TOKEN or add the host to netrc") as caught:
        room.fetch(RemoteFile("a", (url,)), endpoints={"hub": server.url})
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "address", [f"https://x:{TOKEN}@example.org", f"https://example.org/?token={TOKEN}", "example.org", "ftp://x"]
)
def test_the_configuration_takes_no_credentials(address):
    with pytest.raises(ValidationError):
        DownloadSettings(endpoints={"hub": address})
