"""An interrupted training of a recognizer gives the bytes of an uninterrupted one; predictions lie on the native grid."""

import json

import numpy as np
import pytest
import torch

from freetumor.core.seeding import generator
from freetumor.core.tables import FOLD_CASES, HISTORY, PREDICTIONS, read_table
from freetumor.core.weights import load_weights
from freetumor.preprocessing.store import read_array
from freetumor.recognition.predict import predict
from freetumor.recognition.train import train_recognizer
from freetumor.synthesizer.adversarial import AdversarialTraining
from freetumor.synthesizer.segmentation import SegmentationTraining
from freetumor.synthesizer.train import train_segmenter, train_synthesizer
from tests.factory import paint_bank
from tests.recognition.interruptions import Interrupted, interrupt


def train(study, arm, fold, folder, **networks):
    weights, history = folder / "weights.safetensors", folder / "history.csv"
    train_recognizer(study, arm, 0, 1, fold, weights, history, folder / "checkpoints", **networks)
    return weights.read_bytes(), history.read_bytes()


@pytest.fixture(scope="module")
def bank(study, fold, tmp_path_factory):
    return paint_bank(study, fold, tmp_path_factory.mktemp("bank"), 1)


@pytest.mark.parametrize("arm", ["real", "classic", "constant", "copy_paste", "freetumor", "bank", "cutmix"])
def test_interruptions_at_random_steps_change_no_byte(study, fold, untrained, bank, tmp_path, monkeypatch, arm):
    networks = {"freetumor": {"generator": untrained["freetumor"], "segmenter": untrained["segmenter"]}, "bank": {"bank": bank}}
    networks = networks.get(arm, {})
    whole = train(study, arm, fold, tmp_path / "whole", **networks)
    for step in sorted(generator("interrupt", arm).integers(1, 5, 2).tolist()):
        with monkeypatch.context() as patch:
            interrupt(patch, SegmentationTraining, step)
            with pytest.raises(Interrupted):
                train(study, arm, fold, tmp_path / "cut", **networks)
        assert not (tmp_path / "cut" / "weights.safetensors").exists()
    assert train(study, arm, fold, tmp_path / "cut", **networks) == whole


def test_arms_start_from_the_same_weights_and_end_apart(study, fold, tmp_path):
    one_step = study.recognition.training.model_copy(update={"steps": 1, "learning_rate": 1e-12, "weight_decay": 0.0})
    config = study.model_copy(update={"recognition": study.recognition.model_copy(update={"training": one_step})})
    states = []
    for arm, setting in (("real", config), ("constant", config), ("real", study), ("constant", study)):
        folder = tmp_path / str(len(states))
        train(setting, arm, fold, folder)
        states.append(
            {name: value for name, value in load_weights(folder / "weights.safetensors")[0].items() if "conv" in name}
        )
    start = [torch.cat([value.flatten() for name, value in state.items() if name.endswith("conv.weight")]) for state in states]
    assert torch.allclose(start[0], start[1], atol=1e-9)
    assert not torch.allclose(start[2], start[3], atol=1e-4)


def test_the_history_records_loss_and_validation(study, fold, tmp_path):
    train(study, "real", fold, tmp_path)
    rows = read_table(tmp_path / "history.csv", HISTORY)
    assert sorted(set(zip(rows["step"], rows["name"], strict=True))) == [
        (step, name) for step in (2, 4) for name in ("loss", "validation_dice")
    ]


def test_a_checkpoint_of_other_organs_is_not_continued(study, fold, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        interrupt(patch, SegmentationTraining, 4)
        with pytest.raises(Interrupted):
            train(study, "real", fold, tmp_path)
    swapped = study.model_copy(update={"organs": study.organs[::-1]})
    train(swapped, "real", fold, tmp_path)
    assert "other code, settings or data" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["segmenter", "freetumor", "published"])
def test_the_trainings_of_the_synthesizer_stage_resume_too(study, fold, untrained, tmp_path, monkeypatch, name):
    def run(folder):
        weights, history = folder / "weights.safetensors", folder / "history.csv"
        if name == "segmenter":
            train_segmenter(study, 0, fold, weights, history, folder / "checkpoints")
            return weights.read_bytes(), history.read_bytes()
        train_synthesizer(study, name, 0, fold, untrained["segmenter"], weights, history, folder / "checkpoints")
        return weights.read_bytes(), history.read_bytes(), (folder / "discriminator.safetensors").read_bytes()

    whole = run(tmp_path / "whole")
    for step in (1, 3):
        with monkeypatch.context() as patch:
            interrupt(patch, SegmentationTraining if name == "segmenter" else AdversarialTraining, step)
            with pytest.raises(Interrupted):
                run(tmp_path / "cut")
    assert run(tmp_path / "cut") == whole


@pytest.fixture(scope="module")
def predictions(study, fold, untrained, tmp_path_factory):
    output = tmp_path_factory.mktemp("predictions") / "predictions.parquet"
    predict(study, "real", 0, 1, fold, untrained["segmenter"], output)
    return read_table(output, PREDICTIONS)


def test_the_labeled_test_and_validation_cases_are_predicted_and_no_other(fold, predictions):
    cases = read_table(fold, FOLD_CASES)
    cases = cases[cases["part"].isin(["test", "validation"]) & cases["labeled"]]
    expected = cases.assign(split=cases["split"].where(cases["part"] == "test", "validation"))
    assert sorted(predictions["case_id"]) == sorted(expected["case_id"])
    assert "validation" in set(predictions["split"])
    for _, row in predictions.iterrows():
        case = expected.set_index("case_id").loc[row["case_id"]]
        assert row["reference"] == case["native"]
        assert all(row[name] == case[name] for name in ("patient_id", "source", "domain", "split", "native_spacing"))
        assert (row["arm"], row["fold"], row["seed"]) == ("real", 0, 1)


def test_predictions_are_classes_on_the_native_grid(study, fold, untrained, predictions):
    """Here the native grid is the stored one, so that the answer is the network's own, window by window."""
    from freetumor.core.device import Device
    from freetumor.synthesizer.assembly import load_segmenter
    from freetumor.synthesizer.inference import predict_volume

    cpu = torch.device("cpu")
    network = load_segmenter(untrained["segmenter"], study.recognition.network, study, cpu)
    table = read_table(fold, FOLD_CASES).set_index("case_id")
    for _, row in predictions.iterrows():
        found = read_array(row["prediction"])
        assert list(found.shape) == json.loads(table.loc[row["case_id"], "native_shape"])
        assert found.dtype == np.uint8
        image = read_array(table.loc[row["case_id"], "image"])
        overlap = study.recognition.overlap
        expected = predict_volume(network, image, study.working.window, study.working.patch, overlap, Device(cpu)).argmax(
            axis=0
        )
        assert (found == expected).mean() > 0.999  # ties of the interpolated probabilities aside
