"""A damaged checkpoint costs a few steps, never the training and never its correctness."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from freetumor.core.checkpoint import Checkpoints


def state(step):
    return {"step": step, "weights": torch.arange(50.0) * step, "rows": [[1, "loss", 0.5]]}


def same(a, b):
    return a["step"] == b["step"] and torch.equal(a["weights"], b["weights"]) and a["rows"] == b["rows"]


@pytest.fixture
def folder(tmp_path):
    checkpoints = Checkpoints(tmp_path, "print")
    for step in (1, 2, 3):
        checkpoints.save(step, state(step))
    return tmp_path


def test_the_newest_is_loaded_and_two_are_kept(folder):
    assert same(Checkpoints(folder, "print").load(), state(3))
    assert sorted(path.name for path in folder.iterdir()) == [
        f"step0000000{step}.{suffix}" for step in (2, 3) for suffix in ("json", "pt")
    ]


def test_an_empty_or_missing_folder_starts_afresh(tmp_path):
    assert Checkpoints(tmp_path / "none", "print").load() is None


@pytest.mark.parametrize("damage", ["truncate", "flip", "zero", "empty", "remove"])
@pytest.mark.parametrize("suffix", ["pt", "json"])
def test_a_damaged_newest_is_passed_over_with_a_warning(folder, capsys, damage, suffix):
    path = folder / f"step00000003.{suffix}"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    if damage == "remove":
        path.unlink()
    else:
        if damage == "flip":
            content[middle] ^= 0xFF
        path.write_bytes({"truncate": content[:middle], "zero": bytes(len(content)), "empty": b""}.get(damage, content))
    assert same(Checkpoints(folder, "print").load(), state(2))
    if not (damage == "remove" and suffix == "json"):  # without a record there is no checkpoint to warn about
        assert "step00000003" in capsys.readouterr().err


def test_thirty_random_damages_never_lose_the_older_one_nor_give_a_wrong_state(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for trial in range(30):
        folder = tmp_path / str(trial)
        checkpoints = Checkpoints(folder, "print")
        checkpoints.save(1, state(1))
        checkpoints.save(2, state(2))
        path = folder / f"step00000002.{rng.choice(['pt', 'json'])}"
        content = np.frombuffer(path.read_bytes(), np.uint8).copy()
        place = int(rng.integers(len(content)))
        kind = rng.choice(["truncate", "flip", "zero"])
        if kind == "flip":
            content[place] ^= np.uint8(1 << rng.integers(8))
        elif kind == "zero":
            content[place : place + 16] = 0
        path.write_bytes(content[:place].tobytes() if kind == "truncate" else content.tobytes())
        loaded = Checkpoints(folder, "print").load()
        warned = "step00000002" in capsys.readouterr().err
        assert same(loaded, state(1) if warned else state(2)), (trial, kind, path.name, place)


def test_other_code_settings_or_data_are_never_continued(folder, capsys):
    assert Checkpoints(folder, "another print").load() is None
    assert "other code, settings or data" in capsys.readouterr().err
    assert not list(folder.iterdir())


def test_an_object_that_could_run_code_is_not_loaded(tmp_path):
    checkpoints = Checkpoints(tmp_path, "print")
    checkpoints.save(1, {"step": Fraction(1, 2)})
    with pytest.raises(Exception, match="Weights only load failed"):
        checkpoints.load()


def test_all_damaged_starts_afresh(folder):
    for path in folder.glob("*.pt"):
        path.write_bytes(b"")
    assert Checkpoints(folder, "print").load() is None
