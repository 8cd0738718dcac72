"""Measures of fidelity: textbook values, chance levels, and a planted collapse, shift and copy that must be found."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.core.tables import FOLD_CASES, MANIFEST, make_table, read_table, write_table
from freetumor.core.weights import save_weights
from freetumor.evaluation.fidelity import FIDELITY, score_synthesis
from freetumor.evaluation.likeness import (
    cubic_kernel,
    half_samples,
    nearest_lesions,
    squared_discrepancy,
    structural_similarity,
)
from freetumor.recognition.classifier import classifier_network, window_images
from freetumor.synthesizer.regions import open_regions, plain
from tests.factory import EMPTY_ROW, bank_image
from tests.regions import CATEGORIES, make_region, make_region_fold, region_config

SIDE = 32


def discrepancy(a, b):
    return squared_discrepancy(cubic_kernel(a, a), cubic_kernel(b, b), cubic_kernel(a, b))


def test_the_discrepancy_is_the_mean_over_all_pairs_of_different_samples():
    rng = generator("brute")
    a, b = rng.normal(size=(4, 3)), rng.normal(1, 1, size=(5, 3))

    def k(x, y):
        return (x @ y / 3 + 1) ** 3

    def within(s):
        return np.mean([k(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j])

    expected = within(a) + within(b) - 2 * np.mean([k(x, y) for x in a for y in b])
    assert discrepancy(a, b) == pytest.approx(expected)


def test_the_discrepancy_of_one_distribution_is_zero_on_average_and_grows_with_a_shift():
    rng = generator("null")
    null = [discrepancy(rng.normal(size=(20, 8)), rng.normal(size=(15, 8))) for _ in range(400)]
    assert abs(np.mean(null)) < 3 * np.std(null) / 20
    assert np.mean(np.array(null) < 0) > 0.3  # unbiased: it may be negative
    shifted = [discrepancy(rng.normal(size=(20, 8)), rng.normal(shift, 1, size=(15, 8))) for shift in (1, 2)]
    assert np.quantile(null, 0.99) < shifted[0] < shifted[1]


def test_intervals_from_halves_cover_as_often_as_they_say():
    rng, covered = generator("coverage"), 0
    for _ in range(150):
        values = rng.normal(size=60)
        mean, low, high = half_samples(lambda places, v=values: float(v[places].mean()), [60], 0.9, rng)
        assert mean == pytest.approx(values.mean())
        covered += low < 0 < high
    assert 0.82 < covered / 150 < 0.97


def reference_ssim(a, b):
    """Wang et al. 2004, spelled out: a Gaussian window of 11 pixels, in the part where it fits."""

    def blur(x):
        return gaussian_filter(x.astype(float), 1.5, truncate=10 / 3)[5:-5, 5:-5]

    ma, mb = blur(a), blur(b)
    va, vb, cov = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
    return np.mean((2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4)))


def test_similarity_is_the_published_formula_and_one_for_equal_images():
    rng = generator("ssim")
    a = gaussian_filter(rng.random((6, SIDE, SIDE)), (0, 1, 1))
    b = 0.5 * a + 0.5 * gaussian_filter(rng.random((6, SIDE, SIDE)), (0, 1, 1))
    expected = [reference_ssim(x, y) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(structural_similarity(a, b), expected, atol=1e-4)
    np.testing.assert_allclose(structural_similarity(a, a), 1, atol=1e-5)


def test_larger_images_are_compared_over_more_scales():
    """Equal up to noise of single pixels: two scales see more likeness than one would."""
    rng = generator("scales")
    a = gaussian_filter(rng.random((3, 64, 64)), (0, 4, 4)) * 3
    b = a + rng.normal(0, 0.1, a.shape)
    several = structural_similarity(a, b)
    assert (several > [reference_ssim(x, y) + 0.02 for x, y in zip(a, b, strict=True)]).all()
    np.testing.assert_allclose(structural_similarity(a, a), 1, atol=1e-5)


def test_nearest_lesions_are_those_of_a_brute_force_search():
    rng = generator("nearest")
    known, images = rng.random((11, 4, 4)), rng.random((300, 4, 4))
    lesions = np.array([2, 0, 1, 2, 0, 1, 3, 3, 0, 1, 2])
    found = nearest_lesions(images, known, lesions)
    for image, pair in zip(images[::37], found[::37], strict=True):
        every = [min(np.sqrt(np.mean((image - known[k]) ** 2)) for k in np.flatnonzero(lesions == n)) for n in range(4)]
        np.testing.assert_allclose(pair, sorted(every)[:2], atol=1e-6)
    assert nearest_lesions(known[:1], known, lesions)[0, 0] < 1e-6


def write_bank(folder, images):
    """A manifest of given images in HU, by category."""
    rows = []
    for category, group in images.items():
        for draw, image in enumerate(group):
            row = EMPTY_ROW | {"lesion_id": f"{category}.{draw}", "organ": category, "draw": draw, "seed": draw}
            rows.append(row | {"synthesizer": "dcgan"} | bank_image(folder, f"{category}.{draw}", image))
    write_table(make_table(rows, MANIFEST), folder / "manifest.parquet", MANIFEST)
    return folder / "manifest.parquet"


@pytest.fixture(scope="module")
def fold(tmp_path_factory):
    """A study, and a recognizer that was trained for a moment on its training images."""
    folder = tmp_path_factory.mktemp("fidelity")
    config = region_config(SIDE)
    table = make_region_fold(folder, config, {"train": 12, "test": 16})
    network = classifier_network(config, seed=1)
    regions = open_regions(read_table(table, FOLD_CASES), config, "train")
    images = torch.from_numpy(window_images([plain(region, config) for region in regions], config))[:, None]
    categories = torch.tensor([region.category for region in regions])
    optimizer = torch.optim.Adam(network.eval().parameters(), 3e-3)
    for _ in range(80):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), categories).backward()
        optimizer.step()
    save_weights(folder / "recognizer.safetensors", network.state_dict(), {"label": "recognizer"})
    return SimpleNamespace(folder=folder, config=config, table=table, recognizer=folder / "recognizer.safetensors")


def made(first, count=20):
    """Images of the same kind as the real ones, but none of them."""
    return {name: [make_region(index, first + k, SIDE, SIDE) for k in range(count)] for index, name in enumerate(CATEGORIES)}


def score(fold, folder, images):
    manifest = write_bank(folder, images)
    score_synthesis(fold.config, "dcgan", 0, fold.table, manifest, fold.recognizer, folder / "fidelity.csv")
    return read_table(folder / "fidelity.csv", FIDELITY).set_index(["measure", "category"])


@pytest.fixture(scope="module")
def honest(fold, tmp_path_factory):
    return score(fold, tmp_path_factory.mktemp("honest"), made(1000))


def test_every_measure_of_every_category_has_a_row(fold, honest):
    measures = {"recognition", "similarity", "kernel_distance", "neighbor_distance", "copies"}
    assert set(honest.index) == {(measure, category) for measure in measures for category in CATEGORIES}
    assert (honest.loc[["recognition", "similarity", "copies"], "n_synthetic"] == 20).all()
    assert (honest.loc["kernel_distance", "n_synthetic"] == 12).all()  # as many as there are training images
    assert honest.loc["similarity", "n_real"].tolist() == [12] * 3
    assert honest.loc["copies", "n_real"].tolist() == [48] * 3
    assert ((honest["ci_low"] <= honest["value"] + 1e-9) & (honest["value"] <= honest["ci_high"] + 1e-9)).all()


def test_images_of_the_same_kind_reach_what_real_ones_reach(honest):
    assert (honest.loc["copies", "value"] <= 0.15).all()
    for measure, tolerance in (("similarity", 0.1), ("neighbor_distance", 3.0)):
        rows = honest.loc[measure]
        assert ((rows["value"] - rows["reference"]).abs() < tolerance).all()
    rows = honest.loc["kernel_distance"]
    assert (rows["ci_low"] < rows["reference_high"]).all()


def test_a_collapse_to_one_image_is_found(fold, tmp_path, honest):
    images = {name: group[:1] * 20 for name, group in made(1000).items()}
    rows = score(fold, tmp_path, images).loc["similarity"]
    np.testing.assert_allclose(rows["value"], 1, atol=1e-4)
    assert (rows["value"] > rows["reference"] + 0.1).all()


def test_images_that_are_darker_than_real_ones_are_further_from_them(fold, tmp_path, honest):
    images = {name: [image - 60 for image in group] for name, group in made(1000).items()}
    found = score(fold, tmp_path, images)
    assert (found.loc["kernel_distance", "value"] > honest.loc["kernel_distance", "value"]).all()
    assert (found.loc["kernel_distance", "ci_low"] > honest.loc["kernel_distance", "reference_high"]).all()
    assert (found.loc["neighbor_distance", "value"] > 1.5 * honest.loc["neighbor_distance", "value"]).all()


def test_planted_copies_of_training_images_are_found(fold, tmp_path, honest):
    """Turned by the classic augmentation and noisy, yet nearer to one lesion than any real image is."""
    rng, images = generator("copies"), made(1000)
    regions = open_regions(read_table(fold.table, FOLD_CASES), fold.config, "train")
    for index, name in enumerate(CATEGORIES):
        originals = [plain(region, fold.config) for region in regions if region.category == index][:10]
        images[name][:10] = [image + rng.normal(0, 2, image.shape) for image in originals]
    found = score(fold, tmp_path, images).loc["copies"]
    assert (found["value"] >= 0.5).all()
    assert (found["value"] <= 0.65).all()
    assert (found["ci_low"] > found["reference"]).all()
    assert found["reference"].tolist() == pytest.approx([1 / 49] * 3)


def test_recognition_counts_images_that_are_assigned_to_their_category(fold, tmp_path, honest):
    rows = honest.loc["recognition"]
    assert (rows["value"] >= 0.9).all()
    assert (rows["reference"] >= 0.9).all()
    images = made(1000)
    images["cyst"][:5] = images["metastasis"][:5]
    images["hemangioma"] = images["cyst"][5:]
    moved = score(fold, tmp_path, images).loc["recognition", "value"]
    assert moved["cyst"] == pytest.approx(rows.loc["cyst", "value"] - 0.25, abs=0.051)
    assert moved["metastasis"] == rows.loc["metastasis", "value"]
    assert moved["hemangioma"] <= 0.1


def test_the_table_is_the_same_every_time(fold, tmp_path, honest):
    again = score(fold, tmp_path, made(1000))
    assert again.equals(honest)


def test_too_few_images_are_a_mistake_of_the_user(fold, tmp_path):
    images = made(1000, 3) | {"metastasis": made(1000, 1)["metastasis"]}
    with pytest.raises(UserError, match="1 synthetic images of 'metastasis'"):
        score(fold, tmp_path, images)
