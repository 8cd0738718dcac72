"""Tumors of the phantom: shape, profile, sizes, contrast."""

import math

import edt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freetumor.core.seeding import generator
from freetumor.download.anatomy import draw_patient
from freetumor.download.canvas import Canvas, Tissue
from freetumor.download.lesions import (
    HABITS,
    LEAST_VOXELS,
    ORGANS,
    Disease,
    draw_balls,
    draw_contrast,
    draw_organs,
    draw_size,
)
from freetumor.download.scanner import Grid

SPACING = (3.0, 1.8, 1.8)


def organ_block(key, organ="liver", domain="a"):
    """A block that is one organ all through."""
    shape = (48, 84, 84)
    grid = Grid(shape, SPACING, np.diag(SPACING), -(np.array(shape) - 1) * SPACING / 2)
    canvas = Canvas(grid, np.eye(3), np.zeros(3), 0.0, generator("block", key))
    patient = draw_patient(domain, generator("patient", key))
    canvas.tissue[:] = ORGANS[organ]
    canvas.hu[:] = patient.phase.liver
    return Disease(canvas, patient, domain)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), diameter=st.floats(7, 60))
def test_a_shape_has_the_volume_asked_for_and_a_distance_of_slope_one(seed, diameter):
    balls = draw_balls(np.array([1.0, -2.0, 3.0]), diameter, generator("balls", seed))
    step = diameter / 30
    axis = np.arange(-1.6 * diameter, 1.6 * diameter, step)
    distance = balls.distance(*np.meshgrid(axis + 1, axis - 2, axis + 3, indexing="ij"))
    assert np.count_nonzero(distance < 0) * step**3 == pytest.approx(math.pi / 6 * diameter**3, rel=0.06)
    slope = np.sqrt(sum(g**2 for g in np.gradient(distance, step)))
    shell = np.abs(distance) < 2 * step
    assert np.median(slope[shell]) == pytest.approx(1, abs=0.06)


def test_shapes_are_no_ellipsoids():
    """The best ellipsoid by second moments misses a good part of most shapes; of itself it would miss nothing."""
    overlaps = []
    axis = np.linspace(-20, 20, 51)
    mesh = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)
    for seed in range(12):
        inside = draw_balls(np.zeros(3), 16.0, generator("shape", seed)).distance(*np.moveaxis(mesh, -1, 0)) < 0
        points = mesh[inside]
        offset = mesh - points.mean(0)
        radius = np.einsum("...i,ij,...j", offset, np.linalg.inv(np.cov(points.T)), offset)
        ellipsoid = radius < np.sort(radius.ravel())[len(points) - 1]
        overlaps.append(2 * np.count_nonzero(ellipsoid & inside) / (2 * len(points)))
    assert np.mean(overlaps) < 0.95


def test_hu_follow_the_signed_distance_as_measured_in_liver_tumors():
    """Mean HU by distance from the border against those published for abdominal CT, parenchyma at 103 HU."""
    bins = [(-12, -9, 42), (-9, -6, 52), (-6, -4, 69), (-4, -2, 76), (-2, 0, 81), (0, 2, 92), (4, 10, 103)]
    sums = np.zeros((len(bins), 2))
    inside = []
    for key in range(16):
        disease = organ_block(key)
        disease.canvas.hu[:] = 103
        object.__setattr__(disease.patient.phase, "liver", 103.0)
        rng = generator("profile", key)
        for _ in range(4):
            disease.add_tumor("liver", rng)
        mask = np.ascontiguousarray(disease.tumor > 0)
        # Distances between voxel centers overestimate those to the surface between them by half a voxel.
        signed = edt.edt(~mask, anisotropy=SPACING) - edt.edt(mask, anisotropy=SPACING)
        signed -= np.sign(signed) * 1.0
        inside.append(disease.canvas.hu[mask])
        for row, (low, high, _) in enumerate(bins):
            here = disease.canvas.hu[(signed > low) & (signed <= high)]
            sums[row] += here.sum(), here.size
    means = sums[:, 0] / sums[:, 1]
    expected = [value for *_, value in bins]
    assert means == pytest.approx(expected, abs=13)
    assert (np.diff(means) > 0).all()
    inside = np.concatenate(inside)
    assert inside.mean() == pytest.approx(63, abs=10)
    assert math.hypot(inside.std(), 21) == pytest.approx(32, abs=6)  # with the noise of a scan


def test_lesions_of_one_case_stay_apart_and_only_tumors_are_marked():
    disease = organ_block("apart")
    rng = generator("apart")
    assert all([disease.add_tumor("liver", rng), disease.add_cyst("liver", rng), disease.add_tumor("liver", rng)])
    import cc3d

    assert cc3d.connected_components(disease.tumor, connectivity=26).max() == 2
    assert [lesion.kind for lesion in disease.lesions] == ["tumor", "cyst", "tumor"]
    water = (np.abs(disease.canvas.hu - 8) < 8) & (disease.tumor == 0)
    assert np.count_nonzero(water) > 20


def test_the_truth_says_what_was_painted():
    disease = organ_block("truth")
    before = disease.canvas.hu.copy()
    assert disease.add_tumor("liver", generator("truth"))
    (lesion,) = disease.lesions
    voxels = np.count_nonzero(disease.tumor)
    assert voxels >= LEAST_VOXELS
    assert math.pi / 6 * lesion.diameter_mm**3 == pytest.approx(voxels * math.prod(SPACING), rel=1e-3)
    change = (disease.canvas.hu - before)[disease.tumor > 0].mean()
    assert lesion.contrast_hu == pytest.approx(change, abs=4)  # the parenchyma has a texture of its own


def test_kidney_tumors_may_bulge_into_fat_but_liver_tumors_may_not():
    for organ, bulges in (("kidney", True), ("liver", False)):
        outside = 0
        for key in range(6):
            disease = organ_block(key, organ)
            fat = np.abs(disease.canvas.x) > 26
            disease.canvas.tissue[fat] = Tissue.VISCERAL_FAT
            disease.canvas.hu[fat] = -100
            for _ in range(2):
                disease.add_tumor(organ, generator("bulge", organ, key))
            outside += np.count_nonzero(disease.tumor[fat])
        assert (outside > 0) == bulges


def test_most_tumors_are_early_and_kidney_tumors_have_the_sizes_of_kits():
    sizes, counts, rng = [], [], generator("sizes")
    for index in range(800):
        organs = draw_organs(index, rng)
        counts.append(len(organs))
        sizes += [draw_size(organ, rng) for organ in organs]
    assert set(counts) == {1, 2, 3, 4}
    early = np.mean([7 <= size <= 20 for size in sizes])
    assert early == pytest.approx(0.55, abs=0.07)
    kidney = [draw_size("kidney", rng) for _ in range(2000)]
    # KiTS: 16, 24 and 37 mm at the 5th, 25th and 50th percentile; larger ones than 56 mm do not fit.
    assert np.percentile(kidney, [5, 25, 50]) == pytest.approx([16, 24, 37], abs=4)
    assert max(kidney) <= 56


@pytest.mark.parametrize("organ", list(ORGANS))
def test_contrasts_stay_within_their_bounds_and_differ_between_hospitals(organ):
    values = {
        domain: np.array([draw_contrast(organ, draw_size(organ, rng), domain, rng) for _ in range(1500)])
        for domain, rng in (("a", generator("contrast", "a")), ("b", generator("contrast", "b")))
    }
    low, high = HABITS[organ].bounds
    dark = values["a"][values["a"] < 0]
    assert dark.min() >= low
    assert dark.max() <= high
    dense = np.mean(values["a"] > 0)
    assert dense == pytest.approx(0.09 if organ == "liver" else 0, abs=0.03)
    assert np.median(values["b"]) > np.median(values["a"]) + 4
