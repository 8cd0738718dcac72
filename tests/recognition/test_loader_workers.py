"""However many processes make the patches of a training, and wherever it is stopped, its weights are the same.

``FREETUMOR_STOPS=20`` stops at as many steps, with 0, 2 and 4 workers; by default at fewer.
"""

import os
import pickle

import pytest

from freetumor.core.tables import FOLD_CASES, read_table
from freetumor.recognition.train import train_recognizer
from freetumor.synthesizer.cases import open_cases
from freetumor.synthesizer.segmentation import SegmentationTraining
from freetumor.synthesizer.train import train_synthesizer
from tests.diffusion import diffusion_config
from tests.factory import paint_bank
from tests.recognition.interruptions import Interrupted, interrupt

STOPS = int(os.environ.get("FREETUMOR_STOPS", "2"))
WORKERS = (0, 2, 4) if STOPS > 2 else (0, 2)


def with_workers(study, workers):
    return study.model_copy(update={"compute": study.compute.model_copy(update={"loader_workers": workers})})


def longer(study, steps):
    """The same study with trainings of recognizers long enough to be stopped often, and fewer checkpoints than steps."""
    training = study.recognition.training.model_copy(update={"steps": steps, "checkpoint_every": 2, "validate_every": 5})
    return study.model_copy(update={"recognition": study.recognition.model_copy(update={"training": training})})


def paths(folder):
    return folder / "weights.safetensors", folder / "history.csv", folder / "checkpoints"


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".safetensors", ".csv")}


@pytest.fixture(scope="module")
def bank(study, fold, tmp_path_factory):
    return paint_bank(study, fold, tmp_path_factory.mktemp("bank"), 1)


@pytest.mark.parametrize(("arm", "workers"), [("bank", 1), ("freetumor", 2)])
def test_patches_made_in_other_processes_are_the_same(study, fold, untrained, bank, tmp_path, arm, workers):
    networks = {"freetumor": {"generator": untrained["freetumor"], "segmenter": untrained["segmenter"]}, "bank": {"bank": bank}}
    for count in (0, workers):
        folder = tmp_path / str(count)
        train_recognizer(with_workers(study, count), arm, 0, 1, fold, *paths(folder), **networks.get(arm, {}))
    assert content(tmp_path / "0") == content(tmp_path / str(workers))


@pytest.mark.parametrize("name", ["freetumor", "diffusion"])
def test_so_are_those_of_the_synthesizer_stage(study, fold, untrained, tmp_path, name):
    study = diffusion_config() if name == "diffusion" else study
    for workers in (0, 1):
        config, folder = with_workers(study, workers), tmp_path / str(workers)
        train_synthesizer(config, name, 0, fold, untrained["segmenter"], *paths(folder))
    assert content(tmp_path / "0") == content(tmp_path / "1")


@pytest.mark.parametrize("workers", WORKERS)
def test_stopped_again_and_again_a_training_ends_with_the_same_weights(study, fold, tmp_path, monkeypatch, workers):
    steps = STOPS + 4
    study, taken = longer(study, steps), []
    train_recognizer(study, "constant", 0, 1, fold, *paths(tmp_path / "whole"))
    config, step_of = with_workers(study, workers), SegmentationTraining.step
    monkeypatch.setattr(SegmentationTraining, "step", lambda self, step: taken.append(step) or step_of(self, step))
    for step in range(4, STOPS + 4):
        with monkeypatch.context() as patch:
            interrupt(patch, SegmentationTraining, step)
            with pytest.raises(Interrupted):
                train_recognizer(config, "constant", 0, 1, fold, *paths(tmp_path / "cut"))
    before = len(taken)
    train_recognizer(config, "constant", 0, 1, fold, *paths(tmp_path / "cut"))
    assert taken[:4] == [1, 2, 3, 3]  # from the checkpoint of step 2
    assert taken[before] == steps - 1 - steps % 2  # from the last checkpoint before the last stop
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_a_case_is_opened_anew_in_another_process(study, fold):
    case = open_cases(read_table(fold, FOLD_CASES), study, "train")[0]
    before = case.patch((0, 0, 0), (4, 4, 4)).image
    copy = pickle.loads(pickle.dumps(case))
    assert case._opened and not copy._opened
    assert (copy.patch((0, 0, 0), (4, 4, 4)).image == before).all()
