"""A file is either complete or absent."""

import hashlib
import json
import os

import pytest

from freetumor.core.files import atomic, read_json, sha256_file, sha256_json, write_json, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_crash_in_the_block_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "table.csv"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="crash"), atomic(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError("crash")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["table.csv"]


def test_the_new_content_is_invisible_until_the_block_ends(tmp_path):
    path = tmp_path / "deep" / "er" / "table.csv"
    with atomic(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.parent == path.parent  # a rename is atomic only inside one file system
    assert path.read_text() == "new"
    assert names(path.parent) == ["table.csv"]


def test_a_block_that_writes_nothing_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(FileNotFoundError), atomic(path):
        pass
    assert path.read_text() == "old"


def test_the_data_is_on_disk_before_the_name(tmp_path, monkeypatch):
    events = []
    synchronize = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (events.append("flush"), synchronize(descriptor)))
    replace = type(tmp_path).replace
    monkeypatch.setattr(type(tmp_path), "replace", lambda self, target: (events.append("rename"), replace(self, target))[1])
    write_text(tmp_path / "a.txt", "x")
    assert events == ["flush", "rename"]


@pytest.mark.parametrize(("name", "ending"), [("a.nii.gz", ".nii.gz"), ("case.1.image.b2nd", ".b2nd"), ("LICENSE", "")])
def test_the_temporary_name_keeps_the_suffix(tmp_path, name, ending):
    with atomic(tmp_path / name) as temporary:
        assert temporary.name.endswith(ending)
        assert temporary.name.startswith(".")
        temporary.write_bytes(b"")
    assert names(tmp_path) == [name]


def test_json_is_sorted_and_round_trips(tmp_path):
    value = {"b": [1, 2.5, None], "a": {"é": "x"}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert (tmp_path / "a.json").read_text().index('"a"') < (tmp_path / "a.json").read_text().index('"b"')


def test_hashes_are_those_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    # NIST FIPS 180-2, appendix B.1
    assert sha256_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    canonical = json.dumps({"a": 1, "b": [1, 2]}).replace(" ", "").encode()
    assert sha256_json({"b": [1, 2], "a": 1}) == hashlib.sha256(canonical).hexdigest()
