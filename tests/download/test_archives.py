"""Unpacking: honest archives to their exact bytes, hostile ones not at all, and nothing in between."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow
import pytest

from freetumor.core.errors import DiskFull, UserError
from freetumor.core.seeding import generator
from freetumor.download.archive_names import safe_parts
from freetumor.download.archives import MARKER, Limits, unpack
from tests.download import hostile

ARCHIVES = 1000
LIMITS = Limits(**hostile.LIMITS)
FILES = [("./top.txt", b"top"), ("images//ct 1.nii", bytes(range(256)) * 40), ("images/deep/é.bin", b""), ("big", bytes(70000))]
EXPECTED = {"top.txt": FILES[0][1], "images/ct 1.nii": FILES[1][1], "images/deep/é.bin": b"", "big": FILES[3][1]}
SUFFIXES = [".zip", ".tar", ".tar.gz", ".TGZ", ".tar.zst", ".tzst"]


def tree(folder: Path) -> dict[str, tuple]:
    """Everything below a folder: kind, mode, and content or target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = (path.lstat().st_mode, content)
    return found


def contents(folder: Path) -> dict[str, bytes]:
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in files.items() if name != MARKER}


def honest(suffix: str, files: hostile.Files = FILES) -> bytes:
    kind = suffix.lower()
    if kind == ".zip":
        return hostile.make_zip(files, [(hostile.zip_entry("images/"), b"")])
    folder = hostile.tar_entry("images/", b"", tarfile.DIRTYPE)
    plain = hostile.make_tar(files, [folder])
    if kind == ".tar":
        return plain
    return pyarrow.compress(plain, "zstd", asbytes=True) if "zst" in kind else gzip.compress(plain)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def hostile_archives(outside: str):
    """Kind, suffix and bytes of :data:`ARCHIVES` archives: all kinds in turn, each time with other numbers."""
    made = turn = 0
    while made < ARCHIVES:
        rng = generator("hostile archives", turn)
        groups = {
            "tar": hostile.tar_archives(rng, outside),
            "zip": hostile.zip_archives(rng, outside),
            "gz": hostile.gz_archives(rng),
        }
        for group, kinds in groups.items():
            for kind, make in kinds.items():
                if made < ARCHIVES:
                    yield f"{group} {kind}, turn {turn}", *make()
                    made += 1
        turn += 1


def test_a_thousand_hostile_archives_write_nothing_and_leave_nothing(tmp_path):
    outside, place = tmp_path / "outside", tmp_path / "place"
    for folder in (outside, place):
        folder.mkdir()
        (folder / "kept").write_bytes(b"kept")
    archives = tmp_path / "archives"
    archives.mkdir()
    before, count = (tree(outside), tree(place)), 0
    for name, suffix, content in hostile_archives(str(outside)):
        archive = write(archives / f"x{suffix}", content)
        with pytest.raises(UserError) as raised:
            unpack(archive, place / "target", LIMITS)
            pytest.fail(f"{name} was unpacked")
        message = str(raised.value)
        assert message.isprintable() and message.startswith(f"{archive}: ") and len(message) < 400, name
        archive.unlink()
        assert not Path("/pwned").exists(), name
        count += 1
    assert count == ARCHIVES
    assert (tree(outside), tree(place)) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archives", "outside", "place"]
    assert not list(archives.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_honest_archives_give_their_exact_bytes(tmp_path, suffix):
    archive = write(tmp_path / f"data{suffix}", honest(suffix))
    files = unpack(archive, tmp_path / "out", LIMITS)
    assert contents(tmp_path / "out") == EXPECTED
    assert files == sorted(tmp_path / "out" / name for name in EXPECTED)
    assert sorted(path.name for path in tmp_path.iterdir()) == [archive.name, "out"]


def test_random_honest_archives_give_their_exact_bytes(tmp_path):
    for turn in range(12):
        rng = generator("honest archives", turn)
        files = hostile.honest_files(rng, most=6)
        form = int(rng.choice([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
        archives = [hostile.compress(rng, hostile.make_tar(files, [], form)), (".zip", hostile.make_zip(files, []))]
        for number, (suffix, content) in enumerate(archives):
            target = tmp_path / f"{turn}-{number}"
            unpack(write(tmp_path / f"x{suffix}", content), target, LIMITS)
            assert contents(target) == dict(files)


def test_a_gz_file_becomes_the_file_that_it_is_called_after(tmp_path):
    with gzip.GzipFile("../other-name", "wb", fileobj=(stream := io.BytesIO())) as packed:
        packed.write(b"one")
    archive = write(tmp_path / "scan.nii.gz", stream.getvalue() + gzip.compress(b" two"))
    assert unpack(archive, tmp_path / "out") == [tmp_path / "out" / "scan.nii"]
    assert (tmp_path / "out" / "scan.nii").read_bytes() == b"one two"


def test_modes_owners_and_times_of_an_archive_do_not_count(tmp_path):
    entry, content = hostile.tar_entry("tool")
    entry.mode, entry.uid, entry.mtime = 0o6777, 0, -5
    unpack(write(tmp_path / "x.tar", hostile.make_tar([], [(entry, content)])), tmp_path / "out")
    assert (tmp_path / "out" / "tool").stat().st_mode & 0o7133 == 0


def test_a_finished_folder_is_left_alone(tmp_path):
    archive = write(tmp_path / "x.zip", honest(".zip"))
    files = unpack(archive, tmp_path / "out", LIMITS)
    before = [path.stat().st_ino for path in files]
    archive.touch()
    assert unpack(archive, tmp_path / "out", LIMITS) == files
    assert [path.stat().st_ino for path in files] == before


@pytest.mark.parametrize("damage", ["other archive", "file missing", "file cut"])
def test_what_is_outdated_or_incomplete_is_replaced_as_a_whole(tmp_path, damage):
    archive = write(tmp_path / "x.zip", honest(".zip"))
    unpack(archive, tmp_path / "out", LIMITS)
    if damage == "other archive":
        write(archive, hostile.make_zip([("new", b"new")], []))
    elif damage == "file missing":
        (tmp_path / "out" / "big").unlink()
    else:
        (tmp_path / "out" / "big").write_bytes(b"cut")
    unpack(archive, tmp_path / "out", LIMITS)
    assert contents(tmp_path / "out") == ({"new": b"new"} if damage == "other archive" else EXPECTED)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "x.zip"]


def test_a_damaged_new_version_leaves_the_old_one(tmp_path):
    archive = write(tmp_path / "x.zip", honest(".zip"))
    unpack(archive, tmp_path / "out", LIMITS)
    write(archive, honest(".zip")[:-40])
    with pytest.raises(UserError, match="the archive is damaged"):
        unpack(archive, tmp_path / "out", LIMITS)
    assert contents(tmp_path / "out") == EXPECTED


def test_leftovers_of_a_killed_run_do_not_join_the_result(tmp_path):
    left = tmp_path / ".out.unpacking"
    left.mkdir()
    write(left / "half", b"half")
    unpack(write(tmp_path / "x.tar", honest(".tar")), tmp_path / "out", LIMITS)
    assert contents(tmp_path / "out") == EXPECTED
    assert not left.exists()


def test_a_folder_of_the_user_is_not_touched(tmp_path):
    (tmp_path / "out").mkdir()
    write(tmp_path / "out" / "mine", b"mine")
    archive = write(tmp_path / "x.zip", honest(".zip"))
    with pytest.raises(UserError, match=r"out: holds files that do not come from x\.zip"):
        unpack(archive, tmp_path / "out", LIMITS)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "link").symlink_to(elsewhere)
    with pytest.raises(UserError, match="link: holds files"):
        unpack(archive, tmp_path / "link", LIMITS)
    assert contents(tmp_path / "out") == {"mine": b"mine"}
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("function", ["os.fsync", "os.fdopen"])
def test_a_full_disk_is_called_so_and_leaves_nothing(tmp_path, monkeypatch, function):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(function, fail)
    with pytest.raises(DiskFull, match=r"no room|No space left on device"):
        unpack(write(tmp_path / "x.tar", honest(".tar")), tmp_path / "out", LIMITS)
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar"]


@pytest.mark.parametrize("name", ["missing.zip", "notes.txt", "folder.zip"])
def test_what_is_no_archive_is_named(tmp_path, name):
    if name.startswith("notes"):
        write(tmp_path / name, b"text")
    elif name.startswith("folder"):
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=r"archive not found|not an archive; expected a name ending in"):
        unpack(tmp_path / name, tmp_path / "out")


def test_a_limit_is_reached_exactly(tmp_path):
    archive = write(tmp_path / "x.zip", hostile.make_zip([("zeros", bytes(1000))], []))
    assert unpack(archive, tmp_path / "out", Limits(members=1, slack=1000, ratio=0))
    with pytest.raises(UserError, match="more than 999, as a bomb does"):
        unpack(archive, tmp_path / "other", Limits(slack=999, ratio=0))
    two = write(tmp_path / "two.zip", hostile.make_zip([("a", b"a"), ("b", b"b")], []))
    with pytest.raises(UserError, match="more than 1 members"):
        unpack(two, tmp_path / "other", Limits(members=1))


def test_safe_names_stay_below_their_folder(tmp_path):
    rng = generator("names")
    alphabet = np.array([*"ab./\\:é~$*\n\0 ", "..", "/", "ﬀ"])
    accepted = 0
    for _ in range(2000):
        name = "".join(rng.choice(alphabet, 1 + rng.integers(8)))
        try:
            parts = safe_parts(name)
        except Exception as error:
            assert type(error).__name__ == "Refused"
            continue
        accepted += 1
        assert tmp_path.joinpath(*parts).resolve().is_relative_to(tmp_path.resolve())
        assert tmp_path.joinpath(*parts) == tmp_path / name
    assert accepted > 200


def test_the_attacks_are_real(tmp_path):
    """Python's own extraction writes outside, and reads bytes twice."""
    outside = tmp_path / "outside"
    outside.mkdir()
    rng = generator("real attacks")
    for kind in ("absolute", "through_link"):
        suffix, content = hostile.tar_archives(rng, str(outside))[kind]()
        if suffix == ".tar.zst":
            content = pyarrow.CompressedInputStream(io.BytesIO(content), "zstd").read()
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(tmp_path / kind, filter="fully_trusted")
        assert (outside / "pwned").read_bytes() == hostile.MARK
        (outside / "pwned").unlink()
    _, shared = hostile.zip_archives(rng, str(outside))["shared"]()
    with zipfile.ZipFile(io.BytesIO(shared)) as archive:
        assert sum(len(archive.read(entry)) for entry in archive.infolist()) > 7000
        assert archive.testzip() is None
