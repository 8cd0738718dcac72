"""Arms differ in one thing: the real patches, the canvases and the order of everything else are the same."""

import numpy as np
import pytest
import torch

from freetumor.core.seeding import generator
from freetumor.core.tables import FOLD_CASES, MANIFEST, read_table, write_table
from freetumor.recognition.batches import ArmBatches, BankLesions, OnlineLesions
from freetumor.synthesizer.assembly import assemble
from freetumor.synthesizer.cases import open_cases
from tests.factory import paint_bank

BATCH = 4
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def bank(study, fold, tmp_path_factory):
    return paint_bank(study, fold, tmp_path_factory.mktemp("bank"), 1)


@pytest.fixture
def batches_of(study, fold, untrained, bank):
    """A function that builds the batches of an arm, with everything opened anew."""

    def build(name, **changes):
        arm = study.arms[name].model_copy(update=changes)
        table = read_table(fold, FOLD_CASES)
        labeled, canvases = open_cases(table, study, "train"), open_cases(table, study, "train", "pool")
        lesions = None
        if arm.lesions == "bank":
            lesions = BankLesions(bank, canvases, study)
        elif arm.synthesizer:
            weights = untrained.get(arm.synthesizer)
            painter = assemble(arm.synthesizer, study, labeled, CPU, weights, untrained["segmenter"])
            lesions = OnlineLesions(painter, canvases, study, CPU)
        return ArmBatches(arm, study, labeled, lesions, BATCH, 7, "recognition", 0, 1)

    return build


def content(patch):
    return patch.case_id, patch.corner, patch.image.tobytes(), patch.label.tobytes()


@pytest.mark.parametrize("arm", ["constant", "copy_paste", "freetumor", "bank", "cutmix"])
def test_the_real_patches_of_a_slot_are_those_of_the_baseline(batches_of, arm):
    baseline, other = batches_of("real"), batches_of(arm)
    real = BATCH if arm == "cutmix" else 2
    for step in range(1, 6):
        for slot in range(BATCH):
            same = content(baseline.sample(step, slot)) == content(other.sample(step, slot))
            assert same == (slot < real)


def test_arms_that_paint_do_so_on_the_same_canvases(batches_of, study, fold):
    parents = {case.case_id: case for case in open_cases(read_table(fold, FOLD_CASES), study, "train", "pool")}
    constant, freetumor = batches_of("constant"), batches_of("freetumor")
    same, painted = 0, 0
    for step in range(1, 13):
        one, two = constant.sample(step, 3), freetumor.sample(step, 3)
        assert one.case_id == two.case_id
        same += one.corner == two.corner  # both were accepted, or both were not
        for patch in (one, two):
            parent = parents[patch.case_id].patch(patch.corner, study.working.patch)
            outside = patch.label == parent.label
            assert np.array_equal(patch.image[outside], parent.image[outside])
            painted += (~outside).any()
    assert same > 6
    assert painted > 12


@pytest.mark.parametrize("arm", ["real", "classic", "constant", "copy_paste", "freetumor", "bank"])
def test_a_patch_depends_on_step_and_slot_alone(batches_of, arm):
    one, two = batches_of(arm), batches_of(arm)
    places = [(step, slot) for step in (1, 2, 5) for slot in range(BATCH)]
    forward = [content(one.sample(*place)) for place in places]
    np.random.seed(1)  # noqa: NPY002 - a global state that must not matter
    torch.manual_seed(1)
    backward = [content(two.sample(*place)) for place in reversed(places)]
    assert backward[::-1] == forward
    assert content(one.sample(1, 0)) == forward[0]
    assert len(set(forward)) == len(forward)


@pytest.mark.parametrize(("share", "painted"), [(0.0, 0), (0.25, 1), (0.5, 2), (1.0, 4)])
def test_the_arms_share_of_each_batch_is_painted(batches_of, share, painted):
    baseline, batches = batches_of("real"), batches_of("constant", synthetic_share=share)
    differing = [content(baseline.sample(3, slot)) != content(batches.sample(3, slot)) for slot in range(BATCH)]
    assert differing == [False] * (BATCH - painted) + [True] * painted


def test_the_augmented_arm_sees_the_same_patches_turned_or_rescaled(batches_of):
    baseline, classic = batches_of("real"), batches_of("classic")
    changed = 0
    for step in range(1, 11):
        for slot in range(BATCH):
            a, b = baseline.sample(step, slot), classic.sample(step, slot)
            assert (a.case_id, a.corner) == (b.case_id, b.corner)
            assert np.array_equal(np.bincount(a.label.ravel(), minlength=5), np.bincount(b.label.ravel(), minlength=5))
            changed += not np.array_equal(a.label, b.label)
    assert 5 < changed < 40


def test_patches_from_the_bank_show_the_banked_lesion_on_its_parent(batches_of, study, fold, bank):
    batches = batches_of("bank", synthetic_share=1.0)
    parents = {case.case_id: case for case in open_cases(read_table(fold, FOLD_CASES), study, "train", "pool")}
    for step in range(1, 11):
        patch = batches.sample(step, 0)
        parent = parents[patch.case_id].patch(patch.corner, study.working.patch)
        lesion = patch.label != parent.label
        assert lesion.any()
        assert np.array_equal(patch.image[~lesion], parent.image[~lesion])
        assert (patch.label[lesion] == parent.label[lesion] + 1).all()  # organ to its own tumor
        assert (np.abs(patch.image[lesion].astype(int) - parent.image[lesion]) > 1).all()


def test_lesions_on_other_parents_are_not_used(study, fold, bank):
    table = read_table(fold, FOLD_CASES)
    chosen = open_cases(table, study, "pool")
    lesions = BankLesions(bank, chosen, study)
    drawn = {lesions.sample(generator("canvas", index), generator("lesion", index)).case_id for index in range(20)}
    assert drawn == {case.case_id for case in chosen}


def test_of_a_bank_without_accepted_lesions_canvases_are_shown_and_the_log_says_so(study, fold, bank, tmp_path, capsys):
    rows = read_table(bank, MANIFEST)
    write_table(rows.assign(outcome="refused"), tmp_path / "manifest.parquet", MANIFEST)
    canvases = open_cases(read_table(fold, FOLD_CASES), study, "train")
    lesions = BankLesions(tmp_path / "manifest.parquet", canvases, study)
    assert "manifest.parquet: no lesion was accepted" in capsys.readouterr().err
    parents = {case.case_id: case for case in canvases}
    for index in range(5):
        patch = lesions.sample(generator("canvas", index), generator("lesion", index))
        parent = parents[patch.case_id].patch(patch.corner, study.working.patch)
        assert np.array_equal(patch.image, parent.image)
        assert np.array_equal(patch.label, parent.label)
