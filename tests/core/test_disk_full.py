"""A full disk: no damaged file under a final name, one line that says what is wrong, and all goes on when there is room."""

import os
import re
import subprocess

import numpy as np
import pandas as pd
import pytest
import torch

from freetumor.core.errors import DiskFull
from freetumor.core.files import atomic, sha256_file, write_text
from freetumor.core.seeding import generator
from freetumor.core.weights import load_weights, save_weights
from freetumor.preprocessing.store import read_array, write_array

ROOM = 6 * 2**20
NOISE = generator("disk full").integers(-1000, 1000, (90, 90, 90)).astype(np.int16)


def write_parquet(path):
    with atomic(path) as temporary:
        pd.DataFrame({"value": generator("table").random(200_000)}).to_parquet(temporary)


WRITERS = {
    "array.b2nd": (lambda path: write_array(path, NOISE), lambda path: np.array_equal(read_array(path), NOISE)),
    "text.txt": (lambda path: write_text(path, "x" * 1_000_000), lambda path: path.read_text() == "x" * 1_000_000),
    "table.parquet": (write_parquet, lambda path: len(pd.read_parquet(path)) == 200_000),
    "weights.safetensors": (
        lambda path: save_weights(path, {"w": torch.from_numpy(NOISE.astype(np.float32)[:40])}, {"label": "x"}),
        lambda path: load_weights(path)[0]["w"].shape == (40, 90, 90),
    ),
}


def failure_of(write, path):
    """The message of the failure of a writer in a process of its own: blosc2 keeps a file open that it could not write."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            write(path)
        except DiskFull as error:
            os.write(sender, str(error).encode())
        finally:
            os._exit(0)
    os.close(sender)
    os.waitpid(child, 0)
    with os.fdopen(receiver) as stream:
        return stream.read()


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory):
    """A file system of six megabytes."""
    folder = tmp_path_factory.mktemp("disk")
    command = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "none", str(folder)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("number", range(50))
def test_a_full_disk_damages_nothing(small_disk, number):
    rng = generator("disk", number)
    name = list(WRITERS)[number % len(WRITERS)]
    write, sound = WRITERS[name]
    path, ballast = small_disk / name, small_disk / "ballast"
    path.unlink(missing_ok=True)
    earlier = b"an earlier version" if number % 3 == 0 else None
    if earlier:
        path.write_bytes(earlier)
    ballast.write_bytes(bytes(ROOM - int(rng.integers(8_000, 900_000))))
    message = failure_of(write, path)
    assert re.match(rf"{small_disk}/{name}: no room: it needs more than the [\d.]+ [kM]?B", message)
    assert "\n" not in message
    assert path.read_bytes() == earlier if earlier else not path.exists()
    assert {entry.name for entry in small_disk.iterdir()} <= {"ballast", name}
    ballast.unlink()
    write(path)
    assert sound(path)
    path.unlink()


def test_an_error_of_another_kind_stays_what_it_is(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic(tmp_path / "x") as temporary:
        temporary.write_text("x")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_room_that_is_left_is_no_error(small_disk):
    path = small_disk / "text.txt"
    write_text(path, "x" * 1000)
    assert sha256_file(path)
    path.unlink()
