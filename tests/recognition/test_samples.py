"""The training set of an arm: real regions, classic samples, synthetic images; smaller sets begin larger ones."""

import itertools

import numpy as np
import pytest
import torch

from freetumor.core.errors import UserError
from freetumor.core.tables import FOLD_CASES, MANIFEST, read_table, write_table
from freetumor.core.weights import save_weights
from freetumor.recognition.arm import ArmJob
from freetumor.recognition.samples import arm_samples, count_samples, part_samples
from freetumor.synthesizer.assembly import image_generator
from freetumor.synthesizer.regions import classic_group, open_regions, plain
from tests.factory import paint_bank

CPU = torch.device("cpu")
REAL = 12  # four of each category


@pytest.fixture(scope="module")
def job(classification, regions, image_bank):
    return lambda arm, **changes: ArmJob(
        **({"config": classification, "arm": arm, "fold": 0, "seed": 1, "cases": regions, "bank": image_bank} | changes)
    )


def to_window(image):
    return np.clip((np.asarray(image, np.float64) + 50) / 250, 0, 1)


def test_a_training_set_is_real_then_classic_then_synthetic(job, classification, regions):
    samples = arm_samples(job("many"), CPU)
    lesions = open_regions(read_table(regions, FOLD_CASES), classification, "train")
    group, categories = classic_group(lesions, 30, classification)
    expected = to_window([*(plain(lesion, classification) for lesion in lesions), *group])
    np.testing.assert_allclose(samples.images[: REAL + 30], expected, atol=1e-6)
    assert samples.categories[: REAL + 30].tolist() == [*(lesion.category for lesion in lesions), *categories]
    values = to_window([40 * category + draw for draw in range(5) for category in range(3)])
    np.testing.assert_allclose(samples.images[REAL + 30 :], np.broadcast_to(values[:, None, None], (15, 32, 32)), atol=1e-6)
    assert samples.categories[REAL + 30 :].tolist() == [0, 1, 2] * 5
    assert samples.images.dtype == np.float32


def test_the_set_of_an_arm_is_the_beginning_of_a_larger_one(job):
    sets = [arm_samples(job(arm), CPU) for arm in ("plain", "classic", "few", "many")]
    assert [len(samples.images) for samples in sets] == [REAL, REAL + 30, REAL + 36, REAL + 45]
    for smaller, larger in itertools.pairwise(sets):
        np.testing.assert_array_equal(smaller.images, larger.images[: len(smaller.images)])
        np.testing.assert_array_equal(smaller.categories, larger.categories[: len(smaller.images)])


@pytest.mark.parametrize("arm", ["plain", "classic", "few", "many"])
def test_the_size_is_known_before_the_set_is_made(job, arm):
    assert count_samples(job(arm)) == len(arm_samples(job(arm), CPU).images)


def test_only_training_cases_are_learned_from(job, classification, regions):
    table = read_table(regions, FOLD_CASES)
    learned = arm_samples(job("classic"), CPU).images
    for part, count in (("validation", 6), ("test", 9)):
        held = part_samples(table, classification, part)
        assert len(held.images) == count
        assert not any(np.array_equal(image, other) for image in held.images for other in learned)


def test_cases_without_a_known_category_are_left_out(job, classification, regions, tmp_path):
    table = read_table(regions, FOLD_CASES)
    table["labeled"] &= table["case_id"] != "cyst-000"
    write_table(table, tmp_path / "cases.parquet", FOLD_CASES)
    assert len(arm_samples(job("plain", cases=tmp_path / "cases.parquet"), CPU).images) == REAL - 1


def test_a_fold_without_training_cases_is_a_user_error(job, regions, tmp_path):
    table = read_table(regions, FOLD_CASES)
    write_table(table[table["part"] != "train"], tmp_path / "cases.parquet", FOLD_CASES)
    with pytest.raises(UserError, match=r"cases\.parquet: no labeled training case"):
        count_samples(job("plain", cases=tmp_path / "cases.parquet"))


@pytest.mark.parametrize("flaw", ["missing", "refused"])
def test_a_bank_that_holds_too_few_images_is_a_user_error(job, image_bank, flaw):
    table = read_table(image_bank, MANIFEST)
    place = table["lesion_id"] == "metastasis.3"
    table = table[~place] if flaw == "missing" else table.assign(outcome=np.where(place, "refused", "accepted"))
    path = image_bank.with_name(f"{flaw}.parquet")
    write_table(table, path, MANIFEST)
    with pytest.raises(UserError, match=r"arms\.many\.synthetic: 5 .* no number 3 of 'metastasis'.*images_per_category is 6"):
        arm_samples(job("many", bank=path), CPU)
    assert len(arm_samples(job("few", bank=path), CPU).images) == REAL + 36


def test_an_arm_may_not_ask_for_more_than_the_bank_will_hold(classification):
    raw = classification.model_dump()
    raw["arms"]["many"]["synthetic"] = 7
    with pytest.raises(ValueError, match=r"arms\.many\.synthetic: the bank holds synthesis\.images_per_category = 6 images"):
        type(classification).model_validate(raw)
    raw["arms"]["many"] |= {"synthetic": 5, "synthesizer": None}
    with pytest.raises(ValueError, match=r"arms\.many\.synthetic: needs a synthesizer"):
        type(classification).model_validate(raw)


def test_images_made_while_training_are_those_of_the_bank(job, classification, regions, tmp_path):
    network = image_generator(classification.synthesizers["dcgan"].painter, classification, seed=3)
    weights = tmp_path / "weights.safetensors"
    save_weights(weights, network.state_dict(), {"label": "generator"})
    bank = paint_bank(classification, regions, tmp_path / "bank", 2, "dcgan", weights)
    online, banked = (arm_samples(job(arm, generator=weights, bank=bank), CPU) for arm in ("online", "many"))
    np.testing.assert_array_equal(online.images, banked.images)
    np.testing.assert_array_equal(online.categories, banked.categories)
