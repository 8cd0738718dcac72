"""Radiomics: the published values of the digital phantom of the IBSI, closed forms of a box, and what must not matter."""

import math

import numpy as np
import pytest

from freetumor.core.seeding import generator
from freetumor.evaluation.radiomics import (
    RADIOMICS,
    co_occurrence,
    first_order,
    gray_levels,
    greatest_diameter,
    mesh_measures,
    radiomics,
    shape,
    texture,
)

OUT = 0  # voxels that the phantom leaves out
PHANTOM = np.array(  # 2 mm, (z, y, x)
    [
        [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [OUT, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
        [[1, 4, 4, OUT, OUT], [1, 1, 1, 1, 1], [1, 1, OUT, 1, 1], [1, 1, 6, 1, 1]],
        [[1, 4, 4, OUT, OUT], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
    ]
)
SPACING = (2.0, 2.0, 2.0)
INTENSITY = {  # Zwanenburg et al. 2020 and the reference manual; no tolerance but the printed digits
    "mean": 2.15,
    "median": 1,
    "variance": 3.05,
    "skewness": 1.08,
    "kurtosis": -0.355,
    "p10": 1,
    "p90": 4,
    "iqr": 3,
    "absolute_deviation": 1.55,
    "energy": 567,
    "entropy": 1.27,
    "uniformity": 0.512,
}
SHAPE = {  # value and tolerance
    "volume_mm3": (556, 4),
    "area_mm2": (388, 3),
    "area_per_volume": (0.698, 0.004),
    "sphericity": (0.843, 0.005),
    "greatest_diameter_mm": (13.1, 0.1),
    "major_axis_mm": (11.4, 0.1),
    "elongation": (0.816, 0.005),
    "flatness": (0.749, 0.005),
}
GLCM = {  # three dimensions, merged
    "joint_maximum": 0.509,
    "joint_average": 2.15,
    "joint_variance": 3.13,
    "joint_entropy": 2.57,
    "difference_average": 1.38,
    "difference_variance": 3.21,
    "difference_entropy": 1.64,
    "sum_entropy": 2.11,
    "energy": 0.291,
    "contrast": 5.12,
    "inverse_difference": 0.688,
    "inverse_difference_moment": 0.631,
    "correlation": 0.183,
    "cluster_tendency": 7.41,
    "cluster_shade": 17.4,
    "cluster_prominence": 147,
    "information_1": -0.0288,
    "information_2": 0.269,
}


def digits(value, like):
    """A number to the digits that ``like`` is printed with."""
    return float(f"{value:.{max(len(f'{like}'.lstrip('-0.').replace('.', '')), 1)}g}")


def test_intensities_of_the_phantom_are_the_published_ones():
    inside = PHANTOM > 0
    found = first_order(PHANTOM[inside].astype(float), PHANTOM[inside])
    assert {name: digits(value, INTENSITY[name]) for name, value in found.items()} == INTENSITY


def test_the_shape_of_the_phantom_lies_within_the_published_tolerance():
    found = shape(PHANTOM > 0, SPACING)
    assert found.keys() == SHAPE.keys()
    for name, (value, tolerance) in SHAPE.items():
        # both are printed with three digits
        assert abs(found[name] - value) <= tolerance * 1.001, name


def test_the_co_occurrence_of_the_phantom_is_the_published_one():
    found = texture(co_occurrence(PHANTOM))
    assert found.keys() == GLCM.keys()
    for name, value in GLCM.items():
        assert found[name] == pytest.approx(value, rel=0.005), name


def test_every_feature_has_a_name_and_a_value():
    found = radiomics(100 * PHANTOM, PHANTOM > 0, SPACING)
    assert tuple(found) == RADIOMICS and len(RADIOMICS) == 38
    assert np.isfinite(list(found.values())).all()


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.5, 0.5)])
def test_the_mesh_of_a_box_is_a_box_with_cut_edges(spacing):
    """Marching cubes cut each of twelve edges by a prism of 1/8 of a voxel's section, and each corner as a tetrahedron."""
    cells = np.array([6, 5, 4])
    volume, _ = mesh_measures(np.ones(cells, bool), spacing)
    edges = 4 * np.sum(cells - 1) / 8  # each removes half of a quarter of a voxel
    corners = 8 * (1 / 8 - 1 / 48)
    assert volume == pytest.approx((np.prod(cells) - edges - corners) * np.prod(spacing))


def test_a_single_voxel_is_an_octahedron():
    volume, area = mesh_measures(np.ones((1, 1, 1), bool), (2.0, 2.0, 2.0))
    assert volume == pytest.approx(8 / 6)
    assert area == pytest.approx(8 * math.sqrt(3) / 4 * 2)
    assert greatest_diameter(np.ones((1, 1, 1), bool), (3.0, 2.0, 1.0)) == 3


def test_the_mesh_of_every_mask_is_closed():
    """Of a closed surface the volume does not depend on the place of the origin; of noise every way of a cube occurs."""
    mask = generator("noise").random((14, 14, 14)) < 0.5
    volume, area = mesh_measures(mask, SPACING)
    moved = mesh_measures(np.pad(mask, ((40, 0), (7, 0), (0, 0))), SPACING)
    assert moved == pytest.approx((volume, area), rel=1e-9)
    turned = mesh_measures(np.rot90(mask, 1, (0, 2)), SPACING)
    assert turned[0] == pytest.approx(volume, rel=0.02)  # ambiguous cubes are cut into triangles from one of their corners


def test_mirrored_lesions_and_lesions_in_larger_crops_have_the_same_radiomics():
    rng = generator("mirror")
    mask = np.linalg.norm(np.indices((9, 11, 10)) - np.array([4, 5, 4.5]).reshape(3, 1, 1, 1), axis=0) < 4
    image = np.rint(rng.normal(40, 30, mask.shape)).astype(np.int16)
    first = radiomics(image, mask, (3.0, 1.0, 1.0))
    for view in (np.flip, lambda array: np.pad(array, 5)):
        again = radiomics(view(image), view(mask), (3.0, 1.0, 1.0))
        assert list(again.values()) == pytest.approx(list(first.values()), rel=1e-9)


def test_bins_are_of_25_hu_and_only_differences_of_bins_count():
    image = np.array([[[-26, -25, -1, 0, 24, 25]]])
    assert gray_levels(image, np.ones_like(image, bool)).tolist() == [[[1, 2, 2, 3, 3, 4]]]
    assert gray_levels(image, image >= 0).tolist() == [[[0, 0, 0, 1, 1, 2]]]


def test_a_lesion_of_one_gray_level_has_no_correlation_and_no_entropy():
    mask = np.ones((3, 3, 3), bool)
    found = radiomics(np.full(mask.shape, 40), mask, SPACING)
    assert math.isnan(found["radiomics_glcm_correlation"])
    assert found["radiomics_glcm_joint_entropy"] == found["radiomics_intensity_skewness"] == 0
    assert found["radiomics_glcm_joint_maximum"] == 1


def test_a_lesion_without_neighbors_has_no_texture():
    mask = np.zeros((5, 5, 5), bool)
    mask[::2, ::2, ::2] = True
    assert np.isnan(list(texture(co_occurrence(gray_levels(np.zeros(mask.shape), mask))).values())).all()
