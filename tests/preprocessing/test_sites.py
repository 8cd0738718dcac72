"""Sites are voxels of their structure, and the lesion table is right to the voxel."""

import edt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from freetumor.preprocessing.sites import MOST_SITES, find_sites, neighborhood_sums, write_sites

NAMES = {1: "kidney", 2: "kidney_tumor", 3: "liver", 4: "liver_tumor"}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), density=st.floats(0, 0.3))
def test_lesions_agree_with_a_plain_count(seed, density):
    rng = np.random.default_rng(seed)
    label = np.where(rng.random((7, 8, 9)) < density, rng.integers(1, 5, (7, 8, 9)), 0).astype(np.uint8)
    expected = []
    for code in (2, 4):
        components, count = ndimage.label(label == code, np.ones((3, 3, 3)))
        for index in range(1, count + 1):
            voxels = np.argwhere(components == index)
            low, high = voxels.min(axis=0), voxels.max(axis=0) + 1
            expected.append([code, len(voxels), low[0], high[0], low[1], high[1], low[2], high[2]])
    found = find_sites(label, NAMES, "case")["lesions"]
    assert found.dtype == np.int32
    assert found.tolist() == sorted(map(list, np.array(expected, int).reshape(-1, 8).tolist()))


def test_sites_are_voxels_of_their_structure_and_no_more_than_allowed():
    label = np.zeros((20, 30, 40), np.uint8)
    label[2:18, 4:28, 4:36] = 3
    label[5, 5, 5:9] = 4
    sites = find_sites(label, NAMES, "case")
    assert set(sites) == {"liver", "liver_tumor", "foreground", "lesions"}
    assert len(sites["liver"]) == len(sites["foreground"]) == MOST_SITES
    assert (label[tuple(sites["liver"].T)] == 3).all()
    assert (label[tuple(sites["foreground"].T)] > 0).all()
    np.testing.assert_array_equal(sites["liver_tumor"], np.argwhere(label == 4))
    assert len(np.unique(sites["liver"], axis=0)) == MOST_SITES
    spread = sites["liver"].mean(axis=0) - np.argwhere(label == 3).mean(axis=0)
    assert np.abs(spread).max() < 1  # an even sample, not the first voxels
    other = find_sites(label, NAMES, "other case")
    assert not np.array_equal(sites["liver"], other["liver"])
    np.testing.assert_array_equal(sites["liver"], find_sites(label, NAMES, "case")["liver"])


def distances(mask: np.ndarray, spacing: tuple[float, ...], border: bool) -> np.ndarray:
    """From each voxel of a mask to the nearest outside it, in mm."""
    return edt.edt(np.ascontiguousarray(mask), anisotropy=spacing, black_border=border, parallel=1)


@pytest.mark.parametrize("spacing", [(1.5, 1.5, 1.5), (3.2, 0.7, 0.9)])
@pytest.mark.parametrize("shift", [0, 3])  # with 0 the organ touches the border of the volume
def test_depths_and_vessels_agree_with_distance_transforms(spacing, shift):
    rng = np.random.default_rng(4)
    z, y, x = np.ogrid[:20, :26, :30]
    ball = ((z - 6) / 6) ** 2 + ((y - 9) / 9) ** 2 + ((x - 10) / 10) ** 2 < 1
    label = np.roll(np.where(ball, 3, 0).astype(np.uint8), (shift, shift, shift), (0, 1, 2))
    label[8:12, 10:16, 17:27] = 4  # a tumor that reaches out of its organ
    image = rng.normal(100, 10, label.shape).round().astype(np.int16)
    image[4:14, 10:13, 5:8] = 300
    sites = find_sites(label, NAMES, "case", spacing, image)
    sums = neighborhood_sums(image, tuple(slice(0, n) for n in label.shape))
    np.testing.assert_array_equal(sums, ndimage.correlate(image.astype(np.int32), np.ones((3, 3, 3), int), mode="nearest"))
    for name, organ in (("liver", label == 3), ("liver.whole", label > 0)):
        where = tuple(sites[name].T)
        assert organ[where].all()
        np.testing.assert_allclose(sites[f"{name}.depth"], distances(organ, spacing, True)[where], rtol=1e-6)
        middle = np.median(sums[organ])
        limit = middle + 2.5 * 1.4826 * np.median(np.abs(sums[organ] - middle))
        components, _ = ndimage.label(organ & (sums > limit), np.ones((3, 3, 3)))
        vessels = (np.bincount(components.ravel())[components] >= 20) & (components > 0)
        assert vessels.any()
        np.testing.assert_allclose(sites[f"{name}.vessel"], distances(~vessels, spacing, False)[where], rtol=1e-6)


def test_without_vessels_the_distance_to_them_is_infinite():
    label = np.full((8, 8, 8), 3, np.uint8)
    sites = find_sites(label, NAMES, "case", (1, 1, 1), np.full(label.shape, 50, np.int16))
    assert np.isinf(sites["liver.vessel"]).all()


def test_a_case_without_structures_has_empty_tables():
    sites = find_sites(np.zeros((3, 3, 3), np.uint8), NAMES, "case")
    assert {name: array.shape for name, array in sites.items()} == {"foreground": (0, 3), "lesions": (0, 8)}


def test_the_archive_has_the_same_bytes_whenever_it_is_written(tmp_path, monkeypatch):
    label = np.zeros((9, 9, 9), np.uint8)
    label[2:7, 2:7, 2:7] = 1
    sites = find_sites(label, NAMES, "case")
    write_sites(tmp_path / "one.npz", sites)
    monkeypatch.setattr("time.localtime", lambda *_: (2040, 1, 2, 3, 4, 5, 0, 1, 0))
    write_sites(tmp_path / "two.npz", dict(reversed(sites.items())))
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with np.load(tmp_path / "one.npz", allow_pickle=False) as archive:
        assert sorted(archive.files) == sorted(sites)
        for name, array in sites.items():
            np.testing.assert_array_equal(archive[name], array)
