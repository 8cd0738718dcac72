"""Servers and short ways to fetch from them."""

import hashlib

import pytest

from freetumor.core.config import DownloadSettings
from freetumor.download.transfer.remote import RemoteFile
from freetumor.download.transfer.transfer import transfer
from tests.download.transfer.server import Server


def settings(**keys):
    """Impatient settings."""
    return DownloadSettings(**{"backoff": 0.0, "timeout": 2.0, "retries": 2, "workers": 2} | keys)


def sha256(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Room:
    """A folder of a source and its ledger."""

    def __init__(self, root):
        self.folder, self.ledger = root / "raw", root / "ledger.tsv"

    def fetch(self, *files, **keys):
        return transfer(list(files), self.folder, self.ledger, settings(**keys), "source")

    @property
    def names(self):
        """Names of everything in the folder."""
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture
def room(tmp_path):
    return Room(tmp_path)


@pytest.fixture(autouse=True)
def own_slots_and_no_logins(tmp_path_factory, monkeypatch):
    """Places of hosts, netrc and tokens of the person who runs the tests are left alone."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setattr("tempfile.tempdir", str(home))
    monkeypatch.setenv("NETRC", str(home / "netrc"))
    for name in ("HF_TOKEN", "ZENODO_TOKEN", "NBIA_TOKEN", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def data():
    """Bytes that look like nothing, and differ everywhere."""
    return hashlib.shake_256(b"data").digest(200_000)


@pytest.fixture
def remote(server, data):
    """A file with a published hash, on the server."""
    return RemoteFile("images/a.nii.gz", (server.add("/a.nii.gz", data),), len(data), sha256(data))
