"""The benchmark of a GPU runs on a CPU at tiny sizes, and what it prints is what it measured."""

import json
import re
from dataclasses import replace

import pytest
import torch

from benchmarks import library, trainings
from benchmarks.determinism import USES
from benchmarks.deviations import distance, furthest, off, unequal
from benchmarks.gpu_command import COLUMNS, cell, main, show
from benchmarks.gpu_sections import SECTIONS, failure, of_each_training
from benchmarks.sections import Setting
from freetumor.core.device import Device

FEW = ["unet", "adversarial_unet3d", "acgan"]


def run(section, *arguments):
    return main("", ["--device", "cpu", "--quick", "--sections", section, *arguments])[section]


def test_training_is_timed_with_its_batches(capsys, tmp_path):
    rows = run("training", "--networks", *FEW, "--json", str(tmp_path / "out.json"))
    assert [row["training"] for row in rows] == FEW
    for row in rows:
        assert 0 < row["data_ms"] < 50 * row["step_ms"]
        assert row["steps_per_second"] * row["step_ms"] == pytest.approx(1e3)
        assert row["samples_per_second"] == pytest.approx(row["samples"] * row["steps_per_second"])
        assert row["parameters"] > 1000 and row["peak_mb"] > 50
    lines = capsys.readouterr().out.splitlines()
    assert re.match(rf"\d{{4}}-\d\d-\d\d, CPU .+, torch {re.escape(torch.__version__)}, \d+ thread", lines[0])
    assert [line.split()[0] for line in lines if line.startswith(tuple(FEW))] == FEW
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["training"] == rows and written["facts"]["torch"] == torch.__version__


def test_mixed_precision_changes_losses_a_little():
    for row in run("precision", "--networks", "unet", "roi_cnn"):
        assert row["steps"] == 3
        assert 0 < row["largest_difference"] < 0.05 * row["loss"]
        assert row["mixed_loss"] == pytest.approx(row["loss"], abs=row["largest_difference"])
        assert row["speed"] == pytest.approx(row["full_ms"] / row["mixed_ms"])


def test_a_rerun_on_a_cpu_gives_the_same_bits():
    rows = run("determinism", "--networks", *FEW)
    assert torch.get_deterministic_debug_mode() == 2  # what the study demands is put back
    for row in rows:
        assert row["tensors"] > 10
        assert row["unequal"] == row["unequal_if_free"] == row["loss_off_cpu"] == row["weights_off_cpu"] == 0
        assert "failed" not in row


def test_the_operators_are_those_of_the_table():
    rows = run("operators")
    assert all(row["explained"] for row in rows)
    known = {operator: "no" if "nll_loss" in operator else "if asked for" for use in USES for operator in use.operators}
    assert {row["operator"]: row["deterministic"] for row in rows} == known
    (convolutions,) = (row["trainings"] for row in rows if row["operator"] == "convolution")
    assert convolutions == [name for name in trainings.NAMES if name not in trainings.WITH_SWIN]


def test_painting_is_judged_and_banked():
    rows = run("synthesis")
    assert [row["painter"] for row in rows] == [library.PROCEDURAL, library.DEFAULT, library.DIFFUSION]
    for row in rows:
        assert row["gate"] == "segmenter" and row["painted"] == row["wanted"] == 4
        assert row["lesions_per_second"] * row["lesion_ms"] == pytest.approx(1e3)


def test_a_group_of_one_computes_what_a_process_alone_does():
    alone, grouped = run("launch")
    assert (alone["way"], alone["backend"], alone["sum_ms"]) == ("alone", "", None)
    assert (grouped["way"], grouped["backend"]) == ("torchrun", "gloo") and grouped["sum_ms"] > 0
    assert alone["loss_off_alone"] == alone["gradient_off_alone"] == 0
    assert grouped["loss_off_alone"] < 1e-4 and grouped["gradient_off_alone"] < 5e-3


@pytest.mark.parametrize("name", ["swin_unetr", "adversarial_paper"])
def test_a_network_that_halves_five_times_sees_more_than_one_voxel(name, tmp_path):
    subject = trainings.build(name, trainings.TINY, Setting("tiny", tmp_path), Device(torch.device("cpu")))
    assert subject.trainable.config.working.patch == (64, 32, 32)


def test_the_paper_s_networks_have_the_published_sizes(tmp_path):
    sizes = replace(trainings.PAPER, patch=trainings.TINY.patch)
    subject = trainings.build("unet3d", sizes, Setting("tiny", tmp_path), Device(torch.device("cpu")))
    assert round(sum(tensor.numel() for tensor in subject.tensors().values()) / 1e6, 1) == 19.1
    assert trainings.PAPER.patch == (96, 96, 96)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "out of memory"),
        (RuntimeError("put_ does not have a deterministic implementation, but you set ..."), "refused: put_"),
    ],
)
def test_what_a_device_refuses_is_said_in_its_row(error, said):
    def measure(options, name):
        if name == "unet":
            raise error
        return {"step_ms": 1.0}

    options = type("Options", (), {"networks": ["unet", "acgan"]})
    rows = list(of_each_training(measure)(options))
    assert rows == [{"training": "unet", "failed": said}, {"training": "acgan", "step_ms": 1.0}]
    assert said in show("training", rows)


def test_any_other_error_ends_the_benchmark():
    def measure(options, name):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        list(of_each_training(measure)(type("Options", (), {"networks": ["unet"]})))
    assert failure(RuntimeError("shapes differ")) == ""


def test_without_a_gpu_it_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="torch sees no GPU"):
        main("", ["--sections", "training"])


def test_sections_may_be_separated_by_commas_and_must_exist(capsys):
    with pytest.raises(SystemExit):
        main("", ["--device", "cpu", "--quick", "--sections", "training,speed"])
    assert "no 'speed'" in capsys.readouterr().err
    assert set(COLUMNS) == set(SECTIONS)


def test_tensors_are_compared_bit_for_bit():
    one = {"a": torch.tensor([0.0, 1.0]), "b": torch.tensor([torch.nan]), "c": torch.tensor(3)}
    assert unequal(one, {name: value.clone() for name, value in one.items()}) == []
    assert unequal(one, one | {"a": torch.tensor([-0.0, 1.0]), "c": torch.tensor(4)}) == ["a", "c"]


def test_distances_are_relative():
    one, other = (
        {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([4])},
        {"a": torch.tensor([3.0, 3.0]), "b": torch.tensor([0])},
    )
    assert distance(one, other) == pytest.approx((9 + 16) ** 0.5 / 5)
    assert furthest([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.5], [2.0, 4.0]]) == 1.0
    assert (
        off({"a": torch.tensor([2.0, -4.0]), "b": torch.tensor([0.0])}, {"a": torch.tensor([2.0, -3.0]), "b": torch.zeros(1)})
        == 0.25
    )


def test_gradients_are_compared_by_tensor_but_not_where_they_are_rounding_alone():
    one = {"large": torch.tensor([2.0, -4.0]), "small": torch.tensor([0.01]), "none": torch.tensor([1e-9])}
    assert off(one, one | {"large": torch.tensor([2.0, -3.0])}) == 0.25
    assert off(one, one | {"small": torch.tensor([0.009])}) == pytest.approx(0.1)
    assert off(one, one | {"none": torch.tensor([-1e-9])}) == pytest.approx(2e-9 / 4e-3)


def test_what_was_not_measured_is_blank():
    assert [cell(None, ".1f"), cell(float("nan"), ".1f"), cell(True, "s"), cell(["a", "b"], "s"), cell(12345, ",d")] == [
        "",
        "",
        "yes",
        "a, b",
        "12,345",
    ]
