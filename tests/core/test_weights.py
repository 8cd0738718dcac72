"""Weights come back bit by bit, or not at all."""

import pytest
import torch

from freetumor.core.errors import UserError
from freetumor.core.weights import load_weights, save_weights

STATE = {
    "conv.weight": torch.randn(4, 3, 3, generator=torch.Generator().manual_seed(1)),
    "norm.count": torch.tensor(7),
    "half": torch.tensor([1.5, -0.0, float("inf")], dtype=torch.bfloat16),
}


def test_weights_and_description_round_trip(tmp_path):
    path = tmp_path / "deep" / "weights.safetensors"
    save_weights(path, STATE, {"label": "generator", "steps": 3})
    state, description = load_weights(path)
    assert description == {"label": "generator", "steps": 3}
    assert state.keys() == STATE.keys()
    assert all(torch.equal(state[name], STATE[name]) and state[name].dtype == STATE[name].dtype for name in STATE)


def test_the_same_weights_have_the_same_bytes(tmp_path):
    for name, state in (("a", STATE), ("b", dict(reversed(STATE.items())))):
        save_weights(tmp_path / name, state, {"x": 1, "y": 2} if name == "a" else {"y": 2, "x": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_view_is_saved_as_what_it_shows(tmp_path):
    whole = torch.arange(12.0).reshape(3, 4)
    save_weights(tmp_path / "a", {"part": whole.T[1:3], "again": whole[0]}, {})
    state, _ = load_weights(tmp_path / "a")
    assert state["part"].tolist() == [[1, 5, 9], [2, 6, 10]]


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "header", "text"])
def test_a_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "weights.safetensors"
    save_weights(path, STATE, {})
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(
            {"empty": b"", "truncated": content[:-5], "header": b"\xff" * 8 + content[8:], "text": b"hello"}[damage]
        )
    with pytest.raises(UserError, match=r"weights\.safetensors: not readable as weights"):
        load_weights(path)
