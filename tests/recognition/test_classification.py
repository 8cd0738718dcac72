"""Classifiers learn, resume bit for bit, and their predictions cover the test and the validation cases."""

import json

import numpy as np
import pytest
import torch

from freetumor.core.device import Device
from freetumor.core.errors import UserError
from freetumor.core.tables import CLASSIFICATIONS, FOLD_CASES, HISTORY, read_table, write_table
from freetumor.core.weights import load_weights
from freetumor.recognition.arm import ArmJob
from freetumor.recognition.classification import ClassificationTraining, plan_classification
from freetumor.recognition.classifier import class_probabilities, classifier_network, last_features, load_classifier
from freetumor.recognition.predict import predict
from freetumor.recognition.samples import Samples, arm_samples, part_samples
from freetumor.recognition.train import train_recognizer
from tests.recognition.interruptions import Interrupted, interrupt

CPU = torch.device("cpu")


def changed(study, part="training", **settings):
    recognition = study.recognition
    new = getattr(recognition, part).model_copy(update=settings)
    return study.model_copy(update={"recognition": recognition.model_copy(update={part: new})})


def train(study, arm, regions, folder, bank=None):
    weights, history = folder / "weights.safetensors", folder / "history.csv"
    train_recognizer(study, arm, 0, 1, regions, weights, history, folder / "checkpoints", bank=bank)
    return weights.read_bytes(), history.read_bytes()


@pytest.fixture(scope="module")
def trained(classification, regions, tmp_path_factory):
    """A recognizer trained for long enough, and the study of its training."""
    study = changed(classification, steps=150, validate_every=50, checkpoint_every=150)
    folder = tmp_path_factory.mktemp("trained")
    train(study, "classic", regions, folder)
    return study, folder / "weights.safetensors"


@pytest.fixture(scope="module")
def predictions(trained, regions, tmp_path_factory):
    study, weights = trained
    output = tmp_path_factory.mktemp("predictions") / "predictions.parquet"
    predict(study, "classic", 0, 1, regions, weights, output)
    return read_table(output, CLASSIFICATIONS)


@pytest.mark.parametrize("arm", ["plain", "many"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_an_interrupted_training_ends_in_the_same_bytes(
    classification, regions, image_bank, tmp_path, monkeypatch, arm, optimizer
):
    study = changed(classification, optimizer=optimizer, keep="best")
    torch.manual_seed(0)
    whole = train(study, arm, regions, tmp_path / "whole", image_bank)
    torch.manual_seed(1)  # dropout must not depend on it
    for step in (2, 3, 4):
        with monkeypatch.context() as patch:
            interrupt(patch, ClassificationTraining, step)
            with pytest.raises(Interrupted):
                train(study, arm, regions, tmp_path / "cut", image_bank)
    assert train(study, arm, regions, tmp_path / "cut", image_bank) == whole


def test_training_leaves_the_global_generator_as_it_was(classification, regions, tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(classification, "plain", regions, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_arms_and_optimizers_start_from_the_same_weights_and_end_apart(classification, regions, tmp_path):
    start = changed(classification, steps=1, learning_rate=1e-12)
    states = []
    for arm, study in (("plain", start), ("classic", start), ("plain", classification), ("classic", classification)):
        folder = tmp_path / str(len(states))
        train(study, arm, regions, folder)
        states.append(load_weights(folder / "weights.safetensors")[0])
    assert torch.allclose(states[0]["dense.0.weight"], states[1]["dense.0.weight"], atol=1e-9)
    assert not torch.allclose(states[2]["dense.0.weight"], states[3]["dense.0.weight"], atol=1e-5)
    assert states[0]["mean"] != states[1]["mean"]


def test_the_mean_of_the_training_set_is_stored_with_the_weights(classification, regions, tmp_path):
    train(classification, "classic", regions, tmp_path)
    samples = arm_samples(ArmJob(classification, "classic", 0, 1, regions), CPU)
    stored = load_weights(tmp_path / "weights.safetensors")[0]["mean"]
    assert stored.item() == pytest.approx(samples.images.astype(np.float64).mean(), abs=1e-6)


def test_dropout_belongs_to_the_step(classification, regions):
    def losses(steps):
        study = changed(classification, learning_rate=1e-12)
        training = plan_classification(ArmJob(study, "plain", 0, 1, regions))[1](Device(CPU))
        # One sample, again and again: only dropout differs between steps.
        training.samples = Samples(training.samples.images[:1], training.samples.categories[:1])
        return [training.step(step)["loss"] for step in steps]

    first = losses([1, 2, 3])
    assert losses([3, 1, 2]) == pytest.approx([first[2], *first[:2]], abs=1e-7)
    assert len(set(first)) == 3


@pytest.mark.parametrize(("arm", "samples"), [("plain", 12), ("classic", 42), ("many", 57)])
def test_epochs_become_steps_by_the_size_of_the_training_set(classification, regions, image_bank, tmp_path, arm, samples):
    study = changed(classification, epochs=3, validate_every=1000)
    train(study, arm, regions, tmp_path, image_bank)
    history = read_table(tmp_path / "history.csv", HISTORY)
    assert history["step"].max() == -(-3 * samples // 8)


def test_the_history_records_loss_and_accuracy(classification, regions, tmp_path):
    train(classification, "plain", regions, tmp_path)
    rows = read_table(tmp_path / "history.csv", HISTORY)
    assert sorted(zip(rows["step"], rows["name"], strict=True)) == [
        (step, name) for step in (2, 4) for name in ("loss", "validation_accuracy")
    ]


@pytest.mark.parametrize("keep", ["last", "best"])
def test_without_validation_cases_the_last_weights_are_kept(classification, regions, tmp_path, keep):
    table = read_table(regions, FOLD_CASES)
    cases = tmp_path / "cases.parquet"
    write_table(table[table["part"] != "validation"], cases, FOLD_CASES)
    study = changed(classification, keep=keep)
    train(study, "plain", cases, tmp_path)
    assert set(read_table(tmp_path / "history.csv", HISTORY)["name"]) == {"loss"}
    train(changed(classification, keep="last"), "plain", cases, tmp_path / "last")
    kept, last = (load_weights(folder / "weights.safetensors")[0] for folder in (tmp_path, tmp_path / "last"))
    assert all(torch.equal(kept[name], last[name]) for name in last)


def test_a_checkpoint_of_other_categories_is_not_continued(classification, regions, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        interrupt(patch, ClassificationTraining, 4)
        with pytest.raises(Interrupted):
            train(classification, "plain", regions, tmp_path)
    swapped = classification.model_copy(update={"categories": classification.categories[::-1]})
    train(swapped, "plain", regions, tmp_path)
    assert "other code, settings or data" in capsys.readouterr().err


def test_easily_separable_regions_are_learned(predictions):
    assert (predictions["predicted"] == predictions["category"]).mean() >= 0.9


def test_the_test_and_the_validation_cases_are_predicted_and_no_other(regions, predictions):
    table = read_table(regions, FOLD_CASES).set_index("case_id")
    for split, part in (("development", "test"), ("validation", "validation")):
        expected = sorted(table.index[table["part"] == part])
        assert predictions.loc[predictions["split"] == split, "case_id"].tolist() == expected
    assert set(predictions["split"]) == {"development", "validation"}
    for _, row in predictions.iterrows():
        case = table.loc[row["case_id"]]
        assert all(row[name] == case[name] for name in ("patient_id", "source", "category", "diameter_mm"))
        assert (row["arm"], row["fold"], row["seed"]) == ("classic", 0, 1)


def test_external_cases_keep_their_split(trained, regions, tmp_path):
    study, weights = trained
    table = read_table(regions, FOLD_CASES)
    table.loc[table["case_id"] == "cyst-006", "split"] = "external"
    table.loc[table["case_id"] == "cyst-007", "labeled"] = False
    write_table(table, tmp_path / "cases.parquet", FOLD_CASES)
    predict(study, "classic", 0, 1, tmp_path / "cases.parquet", weights, tmp_path / "predictions.parquet")
    found = read_table(tmp_path / "predictions.parquet", CLASSIFICATIONS).set_index("case_id")
    assert found.loc["cyst-006", "split"] == "external"
    assert "cyst-007" not in found.index


def test_probabilities_are_those_of_the_network_by_category(trained, regions, predictions):
    study, weights = trained
    table = read_table(regions, FOLD_CASES)
    network = load_classifier(weights, study, CPU)
    for split, part in (("development", "test"), ("validation", "validation")):
        with torch.no_grad():
            images = torch.from_numpy(part_samples(table, study, part).images)[:, None]
            expected = torch.softmax(network(images), dim=1).numpy()
        rows = predictions[predictions["split"] == split]
        for (_, row), one in zip(rows.iterrows(), expected, strict=True):
            found = json.loads(row["probabilities"])
            assert list(found) == study.categories
            np.testing.assert_allclose(list(found.values()), one, atol=2e-6)
            assert all(value == round(value, 6) for value in found.values())
            assert row["predicted"] == max(found, key=found.get)


def test_many_images_are_asked_in_parts(classification, monkeypatch):
    network = classifier_network(classification, seed=0).eval()
    images = np.random.default_rng(0).random((11, 32, 32), np.float32)
    whole = class_probabilities(network, images), last_features(network, images)
    monkeypatch.setattr("freetumor.recognition.classifier.CHUNK", 4)
    np.testing.assert_allclose(class_probabilities(network, images), whole[0], atol=1e-6)
    np.testing.assert_allclose(last_features(network, images), whole[1], atol=1e-6)
    assert whole[0].shape == (11, 3)
    assert whole[1].shape == (11, 256)


def test_weights_of_another_size_are_a_user_error(trained, classification):
    other = changed(classification, "network", channels=[4, 6, 10])
    with pytest.raises(UserError, match="do not fit"):
        load_classifier(trained[1], other, CPU)
