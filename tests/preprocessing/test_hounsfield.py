"""CT in Hounsfield units is accepted as it comes; everything else is refused by the right name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
