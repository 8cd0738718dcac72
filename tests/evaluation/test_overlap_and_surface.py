"""Overlap and surface metrics against closed forms, published values and MONAI."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

from freetumor.core.seeding import generator
from freetumor.evaluation.overlap import dice, volume_error
from freetumor.evaluation.surface import (
    average_distance,
    border_distances,
    cell_areas,
    cell_codes,
    hausdorff95,
    surface_dice,
)


def square(shape, *boxes):
    mask = np.zeros(shape, bool)
    for box in boxes:
        mask[tuple(slice(*side) for side in box)] = True
    return mask


def blob(shape, *key):
    return ndimage.gaussian_filter(generator("test", "blob", *key).normal(size=shape), 2) > 0.03


def brute_force_borders(mask):
    """Voxels of the mask with a face neighbor outside it, one by one."""
    padded = np.pad(mask, 1)
    steps = np.concatenate([np.eye(mask.ndim, dtype=int), -np.eye(mask.ndim, dtype=int)])
    return np.array([v for v in np.argwhere(mask) if not all(padded[tuple(v + 1 + step)] for step in steps)])


def test_cross_over_square_has_the_values_of_metrics_reloaded():
    """11 x 11 example of the tests of Metrics Reloaded: DSC 0.862, ASSD 0.44, MASD 0.425."""
    reference = square((11, 11), ((3, 8), (3, 8)))
    prediction = reference | square((11, 11), ((5, 6), (1, 10)), ((1, 10), (5, 6)))
    distances = border_distances(reference, prediction, (1, 1))
    assert dice(reference, prediction) == pytest.approx(50 / 58)  # 0.862
    assert average_distance(distances) == pytest.approx(0.44, abs=0.005)
    assert np.mean([side.mean() for side in distances]) == pytest.approx(0.425, abs=0.0005)


@pytest.mark.parametrize(("box", "assd", "masd"), [((6, 8), 1.10, 1.07), ((4, 10), 1.05, 1.04)])
def test_smaller_and_larger_square_have_the_values_of_the_pitfalls_paper(box, assd, masd):
    """14 x 14 example, Fig. SN 2.10 of Reinke et al. (arXiv 2302.01790): Hausdorff distance 1.41 both times."""
    reference, prediction = square((14, 14), ((5, 9), (5, 9))), square((14, 14), (box, box))
    distances = border_distances(reference, prediction, (1, 1))
    assert max(side.max() for side in distances) == pytest.approx(2**0.5)
    assert average_distance(distances) == pytest.approx(assd, abs=0.0051)
    assert np.mean([side.mean() for side in distances]) == pytest.approx(masd, abs=0.0051)


def test_one_stray_voxel_has_the_hd95_of_the_pitfalls_paper():
    """14 x 14 example, Fig. 5c of Reinke et al.: HD 11.31, HD95 6.79."""
    prediction = square((14, 14), ((9, 12), (9, 12)))
    distances = border_distances(prediction | square((14, 14), ((1, 2), (1, 2))), prediction, (1, 1))
    assert max(side.max() for side in distances) == pytest.approx(128**0.5)
    assert hausdorff95(distances) == pytest.approx(0.6 * 128**0.5)


def test_two_voxels_have_the_values_of_deepmind():
    """Voxels two apart along x at spacing (3, 2, 1): surface Dice 0.5 at 1 mm, HD95 2 mm (tests of surface-distance)."""
    reference, prediction = np.zeros((2, 90, 90, 90), bool)
    reference[50, 60, 70] = prediction[50, 60, 72] = True
    assert surface_dice(reference, prediction, (3, 2, 1), 1.0) == pytest.approx(0.5)
    assert surface_dice(reference, prediction, (3, 2, 1), 2.0) == 1.0
    assert hausdorff95(border_distances(reference, prediction, (3, 2, 1))) == 2.0


def test_two_half_filled_cubes_have_the_values_of_deepmind():
    """50 against 51 planes of 100 at spacing (2, 1, 1): surface Dice 0.836 at 1 mm, HD95 2, Dice 0.990."""
    reference, prediction = square((100,) * 3, ((0, 50),)), square((100,) * 3, ((0, 51),))
    assert surface_dice(reference, prediction, (2, 1, 1), 1.0) == pytest.approx(0.836, abs=5e-4)
    assert hausdorff95(border_distances(reference, prediction, (2, 1, 1))) == 2.0
    assert dice(reference, prediction) == pytest.approx(100 / 101)


def test_volume_error_is_bounded_by_that_of_a_missed_tumor():
    reference, huge = square((10, 10, 10), ((4, 5), (4, 5), (4, 5))), np.ones((10, 10, 10), bool)
    assert volume_error(reference, reference) == 0
    assert volume_error(reference, huge) == pytest.approx(999 / 1001)
    assert volume_error(reference, np.zeros_like(reference)) == 1


def test_area_of_one_corner_is_that_of_its_triangle():
    """The triangle through the middles of three edges with spacing a, b, c has the area |(ab, bc, ca)| / 8."""
    assert cell_areas((2.0, 3.0, 5.0))[1] == pytest.approx(np.linalg.norm([6, 15, 10]) / 8)


def test_area_of_a_plane_is_exact():
    areas = cell_areas((2.0, 3.0, 5.0))
    for axis, expected in enumerate((15.0, 10.0, 6.0)):
        corners = [corner for corner in itertools.product((0, 1), repeat=3) if corner[axis] == 0]
        assert areas[sum(1 << (4 * z + 2 * y + x) for z, y, x in corners)] == pytest.approx(expected)


def test_area_does_not_change_when_the_cell_is_turned_or_mirrored():
    areas = cell_areas((1.0, 1.0, 1.0))
    for code in range(256):
        cell = np.array([code >> bit & 1 for bit in range(8)], np.uint8).reshape(2, 2, 2)
        for axes in itertools.permutations(range(3)):
            for flips in itertools.product((1, -1), repeat=3):
                turned = cell.transpose(axes)[:: flips[0], :: flips[1], :: flips[2]]
                assert areas[int((turned.ravel() << np.arange(8)).sum())] == pytest.approx(areas[code])


def test_area_of_a_ball_is_close_to_four_pi_r_squared():
    grid = np.indices((61, 61, 61)) - 30
    area = cell_areas((1.0, 1.0, 1.0))[cell_codes((grid**2).sum(axis=0) < 25.3**2)].sum()
    assert 1.0 < area / (4 * np.pi * 25.3**2) < 1.1  # the surface of a binary mask is stepped, so a little too large


@pytest.mark.parametrize("spacing", [(1, 1, 1), (3, 1, 1), (2.5, 0.7, 0.8)])
def test_border_distances_equal_brute_force(spacing):
    first, second = blob((9, 11, 10), "a"), blob((9, 11, 10), "b")
    a, b = brute_force_borders(first) * spacing, brute_force_borders(second) * spacing
    table = np.linalg.norm(a[:, None] - b[None], axis=2)
    there, back = border_distances(first, second, spacing)
    np.testing.assert_allclose(np.sort(there), np.sort(table.min(axis=1)), rtol=1e-6)
    np.testing.assert_allclose(np.sort(back), np.sort(table.min(axis=0)), rtol=1e-6)


@pytest.mark.parametrize("spacing", [(1, 1, 1), (3, 1, 1), (2.5, 0.7, 0.8)])
def test_monai_agrees_where_the_definitions_do(spacing):
    """Exactly for Dice, HD95 and ASSD; the surface Dice differs in how a skew surface element is cut into triangles."""
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")

    def channels(mask):
        return torch.tensor(np.stack([~mask, mask])[None].astype("float32"))

    reference, prediction = blob((20, 24, 22), "c"), blob((20, 24, 22), "d")
    pair = channels(prediction), channels(reference)
    distances = border_distances(reference, prediction, spacing)
    hd95 = metrics.compute_hausdorff_distance(*pair, percentile=95, spacing=spacing).item()
    assd = metrics.compute_average_surface_distance(*pair, symmetric=True, spacing=spacing).item()
    nsd = metrics.compute_surface_dice(*pair, [1.5], spacing=spacing, use_subvoxels=True).item()
    overlap = metrics.compute_dice(*pair, include_background=False).item()
    assert dice(reference, prediction) == pytest.approx(overlap, rel=1e-6)
    assert hausdorff95(distances) == pytest.approx(hd95, rel=1e-6)
    assert average_distance(distances) == pytest.approx(assd, rel=1e-6)
    assert surface_dice(reference, prediction, spacing, 1.5) == pytest.approx(nsd, abs=2e-3)
