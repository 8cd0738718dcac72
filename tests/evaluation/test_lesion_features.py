"""What is measured of a lesion: known answers on balls, boxes and blurred noise."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from freetumor.core.seeding import generator
from freetumor.evaluation.lesion_features import (
    EDGES,
    LESION_FEATURES,
    MEASURES,
    PROFILE,
    RING_FEATURES,
    Crop,
    correlation_lengths,
    measure_lesion,
    principal_axes,
    signed_distance,
    sphericity,
    surface_area,
)

SPACINGS = [(1.0, 1.0, 1.0), (3.0, 0.8, 0.8), (2.5, 1.25, 1.5)]


def radius_grid(spacing, half=30.0, center=(0.3, 0.2, 0.1)):
    """Distance in mm from a point near the middle of a cube."""
    axes = [(np.arange(round(2 * half / step)) + 0.5) * step - half - c for step, c in zip(spacing, center, strict=True)]
    return np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))


def ball_crop(spacing, radius=12.0, inside=40.0, outside=100.0, noise=0.0, organ=26.0):
    """A ball in a ball-shaped organ in fat."""
    distance = radius_grid(spacing)
    lesion = distance <= radius
    image = np.where(lesion, inside, np.where(distance <= organ, outside, -100.0))
    image = image + noise * generator("ball").normal(size=image.shape)
    return Crop(np.rint(image).astype(np.int16), lesion, (distance <= organ) & ~lesion, spacing)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_ball_has_the_size_the_shape_and_the_contrast_that_it_was_given(spacing):
    found = measure_lesion(ball_crop(spacing))
    assert found["diameter_mm"] == pytest.approx(24, rel=0.02)
    assert found["sphericity"] == pytest.approx(1, abs=0.03)
    assert found["elongation"] == pytest.approx(1, abs=0.03)
    assert found["flatness"] == pytest.approx(1, abs=0.05)
    assert found["contrast_hu"] == -60
    assert found["sd_hu"] == found["ring_sd_hu"] == 0
    assert set(found) == {*MEASURES, "flatness", *LESION_FEATURES, *RING_FEATURES, *PROFILE}


@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_profile_steps_at_the_border_and_nowhere_else(spacing):
    found = measure_lesion(ball_crop(spacing))
    profile = np.array([found[name] for name in PROFILE])
    step = max(spacing)
    there = np.isfinite(profile)
    assert there.sum() >= 22  # of the two innermost bins the ball has less than they need
    assert profile[there & (EDGES[1:] <= -step)] == pytest.approx(40, abs=0.1)
    assert profile[there & (EDGES[:-1] >= step)] == pytest.approx(100, abs=0.1)
    assert (np.diff(profile[there]) > -0.1).all()
    assert 60 / (2 * step) <= found["gradient_hu_mm"] <= 30


def test_a_border_that_is_graded_over_more_millimeters_is_less_steep():
    crop = ball_crop((1.0, 1.0, 1.0))
    found = []
    for width in (0.5, 1.5, 3.0):
        soft = gaussian_filter(np.where(crop.lesion, 40.0, 100.0), width)
        image = np.where(crop.lesion | crop.organ, soft, -100).astype(np.int16)
        found.append(measure_lesion(Crop(image, crop.lesion, crop.organ, crop.spacing))["gradient_hu_mm"])
    assert found[0] > found[1] > found[2] > 0
    assert found[2] == pytest.approx(60 / (np.sqrt(2 * np.pi) * 3), rel=0.15)  # the slope of a blurred step at its middle


def test_fat_at_the_surface_of_the_organ_is_no_part_of_the_profile():
    """A lesion that bulges out of its organ: its outer part is mixed with fat in the image."""
    crop = ball_crop((2.0, 2.0, 2.0))
    organ = crop.organ.copy()
    organ[:, : organ.shape[1] // 2] = False
    image = np.where(organ | crop.lesion, crop.image, -100)
    mixed = np.rint(gaussian_filter(image.astype(float), 0.6)).astype(np.int16)
    found = measure_lesion(Crop(mixed, crop.lesion, organ, crop.spacing))
    profile = np.array([found[name] for name in PROFILE])
    assert np.isfinite(profile).sum() > 20
    assert np.nanmin(profile) > 30
    assert found["contrast_hu"] == pytest.approx(-60, abs=8)


def test_distances_are_those_from_the_surface_of_the_ball():
    fine = signed_distance(radius_grid((2.0, 1.0, 1.0)) <= 16, (2.0, 1.0, 1.0))
    expected = radius_grid((1.0, 1.0, 1.0)) - 16
    assert fine.shape == expected.shape
    near = np.abs(expected) < 12
    assert np.abs(fine - expected)[near].mean() < 0.6
    assert np.abs(fine - expected)[near].max() < 1.5
    assert ((fine < 0) == (expected < 0))[np.abs(expected) > 1].all()


def test_the_surface_of_a_box_is_that_of_the_published_weights():
    """Thirteen directions of cubic voxels see 7 % too little of faces along the axes, and nearly nothing of edges."""
    face, edge, corner = 0.04577789, 0.03698063, 0.03519564  # per direction of 26; Lehmann and Legland 2012
    seen = 4 * (face + 4 * edge / 2**0.5 + 4 * corner / 3**0.5)
    assert seen == pytest.approx(0.927, abs=0.001)
    assert surface_area(np.ones((90, 90, 90), bool), (1.0, 1.0, 1.0)) == pytest.approx(seen * 6 * 90**2, rel=0.01)


@pytest.mark.parametrize("spacing", [*SPACINGS, (5.0, 0.7, 0.7)])
def test_the_surface_of_a_ball_has_no_bias_from_voxels(spacing):
    assert surface_area(radius_grid(spacing) <= 20, spacing) == pytest.approx(4 * np.pi * 400, rel=0.02)


def test_a_long_lesion_is_elongated_and_less_spherical():
    axes = [np.arange(-30, 31.0)] * 3
    z, y, x = np.meshgrid(*axes, indexing="ij")
    cigar = (z / 24) ** 2 + (y / 8) ** 2 + (x / 8) ** 2 <= 1
    axes = principal_axes(cigar, (1.0, 1.0, 1.0))
    assert axes[1] / axes[0] == pytest.approx(1 / 3, rel=0.03)
    assert 0.7 < sphericity(cigar, (1.0, 1.0, 1.0)) < 0.9  # prolate 3 : 1 has 0.79


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.5, 1.5)])
def test_the_texture_length_of_blurred_noise_is_twice_the_blur(spacing):
    """Noise blurred by s has the autocorrelation exp(-d² / 4 s²), which is 1/e at 2 s."""
    distance, sigma = radius_grid(spacing, 36.0), 2.5
    noise = gaussian_filter(generator("texture").normal(size=distance.shape), [sigma / step for step in spacing])
    lengths = correlation_lengths(100 * noise / noise.std(), distance <= 34, spacing, distance - 34)
    assert lengths == pytest.approx((2 * sigma,) * 3, rel=0.12)


def test_the_texture_length_of_white_noise_is_a_part_of_a_voxel_and_grading_is_no_texture():
    spacing, distance = (2.0, 1.0, 1.0), radius_grid((2.0, 1.0, 1.0))
    noise = generator("white").normal(size=distance.shape) * 20
    for image in (noise, noise - 10 * distance):
        lengths = correlation_lengths(image, distance <= 20, spacing, distance - 20)
        assert lengths == pytest.approx((1 - np.exp(-1)) * np.array(spacing), rel=0.05)
    assert np.isnan(correlation_lengths(np.zeros_like(noise), distance <= 20, spacing, distance - 20)).all()


def test_nothing_of_the_lesion_leaks_into_what_is_said_of_its_ring():
    mild, strong = (measure_lesion(ball_crop((2.0, 1.5, 1.5), inside=hu, noise=15)) for hu in (90, -300))
    assert all(mild[name] == strong[name] for name in (*RING_FEATURES, "ring_sd_hu"))
    assert mild["contrast_hu"] != strong["contrast_hu"]


def test_a_lesion_without_a_ring_has_a_size_but_no_contrast_and_a_speck_has_nothing():
    crop = ball_crop((2.0, 2.0, 2.0))
    alone = measure_lesion(Crop(crop.image, crop.lesion, np.zeros_like(crop.organ), crop.spacing))
    assert alone["diameter_mm"] > 20 and alone["sphericity"] > 0.9
    assert np.isnan([alone["contrast_hu"], *(alone[name] for name in LESION_FEATURES)]).all()
    speck = np.zeros_like(crop.lesion)
    speck[10:12, 10:13, 10:13] = True
    assert measure_lesion(Crop(crop.image, speck, crop.organ, crop.spacing)) is None
