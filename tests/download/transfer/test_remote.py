"""What can be fetched is described completely, and stays within the folder of its source."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freetumor.core.errors import UserError
from freetumor.download.transfer.remote import RemoteFile, file_of, redact

URL = ("https://example.org/a",)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../a",
        "a/../b",
        "a//b",
        "a/",
        "./a",
        "C:/a",
        "a\\b",
        "a\nb",
        "a\0b",
        "x" * 201,
        "é" * 101,
        "\u202egz.a",
    ],
)
def test_a_path_that_leaves_its_folder_or_is_no_name_is_refused(path):
    with pytest.raises(UserError, match="not the path of a file to fetch") as caught:
        RemoteFile(path, URL)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=40))
def test_no_path_leads_outside_whatever_it_is_made_of(tmp_path_factory, text):
    root = tmp_path_factory.getbasetemp().resolve()
    try:
        path = RemoteFile(text, URL).path
    except UserError:
        return
    assert (root / path).resolve().is_relative_to(root)
    assert (root / path).resolve() != root


@pytest.mark.parametrize("path", ["a", "images/BTCV 0001.nii.gz", ".gitattributes", "ü/1.2.3-4_5.dcm"])
def test_usual_paths_are_taken(path):
    assert RemoteFile(path, URL).path == path


@pytest.mark.parametrize(
    "url", ["", "a", "file:///etc/passwd", "ftp://x/a", "https://", "https://x:port/", "https://x/a b", "http://[x"]
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(UserError, match="expected an address"):
        RemoteFile("a", (url,))


def test_what_else_a_file_can_lack_is_told():
    with pytest.raises(UserError, match="a: expected at least one address"):
        RemoteFile("a", ())
    with pytest.raises(UserError, match="a: size: expected a number of bytes, got -1"):
        RemoteFile("a", URL, -1)
    for checksum in ("sha256:12", "md5:" + "g" * 32, "sha1:" + "0" * 40, "0" * 64, "md5:" + "A" * 32):
        with pytest.raises(UserError, match="a: checksum: expected sha256"):
            RemoteFile("a", URL, None, checksum)


def test_passwords_are_refused_and_not_repeated():
    with pytest.raises(UserError, match="those belong into netrc") as caught:
        RemoteFile("a", ("https://anna:s3cret@example.org/a",))
    assert "s3cret" not in str(caught.value)


def test_secrets_are_not_printed():
    url = "https://anna:s3cret@example.org:8000/a%20b?token=s3cret&SeriesInstanceUID=1.2&X-Amz-Signature=s3cret#s3cret"
    shown = redact(url)
    assert "s3cret" not in shown
    assert "anna" not in shown
    assert shown.startswith("https://example.org:8000/a%20b?")
    assert "SeriesInstanceUID=1.2" in shown
    assert "s3cret" not in repr(RemoteFile("a", ("https://example.org/a?token=s3cret",)))


def test_an_entry_is_an_address_or_a_mapping():
    assert file_of("https://example.org/x/a.zip?download=1", "files") == RemoteFile(
        "a.zip", ("https://example.org/x/a.zip?download=1",)
    )
    full = {
        "path": "b/a.zip",
        "urls": ["https://example.org/1", "https://example.org/2"],
        "size": 3,
        "checksum": "md5:" + "0" * 32,
    }
    assert file_of(full, "files") == RemoteFile("b/a.zip", tuple(full["urls"]), 3, full["checksum"])
    assert file_of({"url": "https://example.org/x/a.zip"}, "files").path == "a.zip"
    with pytest.raises(UserError, match="files: unknown key 'sha256' of a file"):
        file_of({"url": URL[0], "sha256": "0"}, "files")
    with pytest.raises(UserError, match="files: expected url, or a list urls"):
        file_of({"path": "a"}, "files")
