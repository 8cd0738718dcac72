"""CT in Hounsfield units is accepted as it comes; everything else is refused by the right name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from freetumor.core.config import Checks
from freetumor.preprocessing.checks import check_hounsfield, clip_padding, histogram
from freetumor.preprocessing.orientation import Volume
from freetumor.preprocessing.quarantine import CaseRefused
from freetumor.preprocessing.reader import read_image
from tests.preprocessing.samples import AFFINE, make_ct


def verdict(array: np.ndarray) -> str:
    """The code of the refusal, or ``accepted``."""
    try:
        check_hounsfield(np.rint(array).astype(np.int16), "file")
    except CaseRefused as error:
        return error.code
    return "accepted"


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 100),
    noise=st.floats(0, 30),
    padding=st.sampled_from([None, -1024, -2000, -3024]),
    ceiling=st.sampled_from([1023, 3071]),
)
def test_ct_is_accepted_with_noise_padding_and_ceiling(seed, noise, padding, ceiling):
    image = make_ct(seed)[0] + np.random.default_rng(seed).normal(0, noise, make_ct()[0].shape)
    image = image.clip(-1024, ceiling)
    if padding is not None:
        image[:, :4] = padding
    assert verdict(image) == "accepted"


FAULTS = {
    "plus 1024": (lambda ct: ct + 1024, "hu_offset"),
    "plus 1000": (lambda ct: ct + 1000, "hu_offset"),
    "minus 1024": (lambda ct: ct - 1024.0, "hu_offset"),
    "inverted": (lambda ct: -ct, "hu_inverted"),
    "abdominal window": (lambda ct: ct.clip(-175, 250), "hu_windowed"),
    "eight bits": (lambda ct: (ct.clip(-175, 250) + 175) * 0.6, "image_few_values"),
    "mask": (lambda ct: ct > 0, "image_few_values"),
    "constant": (lambda ct: ct * 0, "image_constant"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_refused_by_name(name):
    change, code = FAULTS[name]
    for seed in range(5):
        assert verdict(change(make_ct(seed)[0])) == code


def test_all_real_volumes_are_accepted_and_their_faults_refused(real_data):
    paths = [
        *sorted((real_data / "sts/ct").glob("*.nii.gz"))[::4],
        real_data / "abdomen/ct_3mm.nii.gz",
        real_data / "lung_r01/ct_1.4x1.4x2mm.nii.gz",
        real_data / "dicom_seg/ct-3slice",
    ]
    refused = []
    for path in paths:
        image = read_image(path, Checks()).array
        assert verdict(image) == "accepted", path.name
        thirds = tuple(slice(length // 3, -(length // 3)) for length in image.shape)
        assert verdict(image[thirds]) == "accepted", f"inside of {path.name}"
        refused += [verdict(change(image[:, ::2, ::2])) for change, _ in FAULTS.values()]
    assert "accepted" not in refused


def real_like(rng: np.random.Generator) -> np.ndarray:
    """A scan of another dose, kernel, contrast phase, table, padding, ceiling and field of view."""
    image, label = make_ct(int(rng.integers(1000)), shape=tuple(rng.integers((20, 30, 34), (30, 46, 50))))
    image = image.astype(float)
    image[label > 0] += rng.uniform(-40, 60)
    image += rng.normal(0, rng.uniform(0, 60), image.shape)
    width = rng.uniform(0, 1)
    smooth = gaussian_filter(image, [0, width, width])
    image = smooth if rng.random() < 0.5 else image + rng.uniform(0, 0.5) * (image - smooth)
    image = image.clip(rng.choice([-1024, -1000]), rng.choice([1023, 3071]))
    if rng.random() < 0.3:
        image[:, :, : int(rng.integers(1, 6))] = rng.choice([-1024, -2000, -3024])
    if rng.random() < 0.5:
        low = (0.4 * rng.random(3) * image.shape).astype(int)
        image = image[tuple(slice(start, start + length // 2) for start, length in zip(low, image.shape, strict=True))]
    return image


def wrong(rng: np.random.Generator, number: int) -> np.ndarray:
    """What is no CT in HU, of ten kinds in turn."""
    image = make_ct(int(rng.integers(1000)))[0] + rng.normal(0, rng.uniform(0, 20), make_ct()[0].shape)
    center, half = rng.uniform(20, 80), rng.uniform(150, 250)
    bright = rng.uniform(1, 4) * (image.clip(-200, 300) + 200) * (image > -500)
    kinds = (
        lambda: image + rng.choice([1000, 1024]),
        lambda: image - rng.choice([1000, 1024]),
        lambda: -image,
        lambda: image.clip(center - half, center + half),
        lambda: 255 * (image.clip(center - half, center + half) - center + half) / (2 * half),
        lambda: make_ct()[1] * rng.integers(1, 50),
        lambda: np.full(image.shape, rng.integers(-1000, 1000)),
        lambda: np.hypot(rng.normal(0, 20, image.shape), bright),
        lambda: rng.normal(rng.uniform(200, 900), rng.uniform(20, 90), image.shape),
        lambda: 0.001 * image + rng.normal(0, 0.01, image.shape),
    )
    return kinds[number % len(kinds)]()


def test_of_1000_real_like_scans_at_most_5_are_refused_and_of_200_wrong_ones_at_least_190():
    rng = np.random.default_rng(11)
    refused = [code for code in (verdict(real_like(rng)) for _ in range(1000)) if code != "accepted"]
    assert len(refused) <= 5, refused
    caught = [verdict(wrong(rng, number)) != "accepted" for number in range(200)]
    assert sum(caught) >= 190, np.flatnonzero(np.logical_not(caught)) % 10


def test_padding_is_clipped_once_and_noted():
    volume = Volume(np.array([[[-3024, -1024, 50]]], np.int16), AFFINE)
    clipped = clip_padding(volume)
    assert clipped.array.tolist() == [[[-1024, -1024, 50]]]
    assert clipped.notes == ("padding_clipped",)
    assert clip_padding(clipped) is clipped


def test_the_histogram_counts_every_voxel(monkeypatch):
    monkeypatch.setattr("freetumor.preprocessing.checks.SLAB", 50)
    image = np.random.default_rng(0).integers(-32768, 32768, (7, 5, 6)).astype(np.int16)
    values, counts = np.unique(image, return_counts=True)
    found = histogram(image)
    np.testing.assert_array_equal(np.flatnonzero(found) - 32768, values)
    np.testing.assert_array_equal(found[found > 0], counts)
