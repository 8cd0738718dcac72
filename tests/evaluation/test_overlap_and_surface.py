"""Overlap and surface metrics against closed forms, published values and MONAI."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

from freetumor.core.seeding import generator
from freetumor.evaluation.overlap import dice, iou, volume_error
from freetumor.evaluation.surface import (
    average_distance,
    border_distances,
    cell_areas,
    cell_codes,
    hausdorff95,
    mean_average_distance,
    surface_dice,
)


def square(shape, *boxes):
    mask = np.zeros(shape, bool)
    for box in boxes:
        mask[tuple(slice(*side) for side in box)] = True
    return mask


def blob(shape, *key):
    return ndimage.gaussian_filter(generator("test", "blob", *key).normal(size=shape), 2) > 0.03


def border_share(distances, tolerance):
    """Surface Dice of border voxels, each counted once: what packages without sub-voxel surfaces report."""
    return float((np.concatenate(distances) <= tolerance).mean())


def brute_force_borders(mask):
    """Voxels of the mask with a face neighbor outside it, one by one."""
    padded = np.pad(mask, 1)
    steps = np.concatenate([np.eye(mask.ndim, dtype=int), -np.eye(mask.ndim, dtype=int)])
    return np.array([v for v in np.argwhere(mask) if not all(padded[tuple(v + 1 + step)] for step in steps)])


def test_cross_over_square_has_the_values_of_metrics_reloaded():
    """11 x 11 example of the tests of Metrics Reloaded: DSC 0.862, IoU 0.76, ASSD 0.44, MASD 0.425, border NSD 0.89 and 1."""
    reference = square((11, 11), ((3, 8), (3, 8)))
    prediction = reference | square((11, 11), ((5, 6), (1, 10)), ((1, 10), (5, 6)))
    distances = border_distances(reference, prediction, (1, 1))
    assert dice(reference, prediction) == pytest.approx(50 / 58)  # 0.862
    assert round(iou(reference, prediction), 2) == 0.76
    assert average_distance(distances) == pytest.approx(0.44, abs=0.005)
    assert mean_average_distance(distances) == pytest.approx(0.425, abs=0.0005)
    assert (round(border_share(distances, 1), 2), border_share(distances, 2)) == (0.89, 1.0)


@pytest.mark.parametrize(
    ("box", "assd", "masd", "nsd", "counts"),
    [((6, 8), 1.10, 1.07, 0.75, (4, 0, 12, 180)), ((4, 10), 1.05, 1.04, 0.875, (16, 20, 0, 160))],
)
def test_smaller_and_larger_square_have_the_values_of_the_pitfalls_paper(box, assd, masd, nsd, counts):
    """14 x 14 example, Fig. SN 2.10 of Reinke et al. (arXiv 2302.01790): Hausdorff distance 1.41 both times."""
    reference, prediction = square((14, 14), ((5, 9), (5, 9))), square((14, 14), (box, box))
    distances = border_distances(reference, prediction, (1, 1))
    assert max(side.max() for side in distances) == pytest.approx(2**0.5)
    assert average_distance(distances) == pytest.approx(assd, abs=0.0051)
    assert mean_average_distance(distances) == pytest.approx(masd, abs=0.0051)
    assert border_share(distances, 1) == nsd
    both, false, missed, _ = counts
    assert dice(reference, prediction) == 2 * both / (2 * both + false + missed)
    assert iou(reference, prediction) == both / (both + false + missed)
    assert [np.count_nonzero(a & b) for b in (prediction, ~prediction) for a in (reference, ~reference)] == [
        both,
        false,
        missed,
        counts[3],
    ]


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


def test_border_voxels_are_no_surface():
    """Why surfaces are sub-voxel: counted by border voxels, as MONAI does by default, a pair has 0.755 instead of 0.836."""
    reference, prediction = square((100,) * 3, ((0, 50),)), square((100,) * 3, ((0, 51),))
    by_voxel = border_share(border_distances(reference, prediction, (2, 1, 1)), 1.0 + 1e-9)
    assert by_voxel == pytest.approx(0.7549, abs=5e-5)
    assert surface_dice(reference, prediction, (2, 1, 1), 1.0) == pytest.approx(0.8361, abs=2e-4)


def test_directed_distances_and_overlap_of_surfaces_are_those_of_deepmind():
    """50 against 51 planes: mean distances 0.322 and 0.339, surface overlap 0.842 and 0.830 (tests of surface-distance)."""
    reference, prediction = square((100,) * 3, ((0, 50),)), square((100,) * 3, ((0, 51),))
    codes = cell_codes(reference), cell_codes(prediction)
    crossed = [(code > 0) & (code < 255) for code in codes]
    for here, other, mean, overlap in ((0, 1, 0.322, 0.842), (1, 0, 0.339, 0.830)):
        area = cell_areas((2.0, 1.0, 1.0))[codes[here][crossed[here]]]
        away = ndimage.distance_transform_edt(~crossed[other], sampling=(2, 1, 1))[crossed[here]]
        assert np.average(away, weights=area) == pytest.approx(mean, abs=5e-4)
        assert area[away <= 1].sum() / area.sum() == pytest.approx(overlap, abs=5e-4)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.5, 0.7, 0.8)])
def test_surface_dice_equals_that_by_distance_transforms(spacing):
    reference, prediction = blob((12, 20, 18), "e"), blob((12, 20, 18), "f")
    codes = cell_codes(reference), cell_codes(prediction)
    near = total = 0.0
    for here, other in (codes, codes[::-1]):
        crossed, others = ((code > 0) & (code < 255) for code in (here, other))
        area = cell_areas(spacing)[here[crossed]]
        near += area[ndimage.distance_transform_edt(~others, sampling=spacing)[crossed] <= 1.5 + 1e-9].sum()
        total += area.sum()
    assert surface_dice(reference, prediction, spacing, 1.5) == pytest.approx(near / total)


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
    by_voxel = metrics.compute_surface_dice(*pair, [1.5], spacing=spacing).item()
    assert border_share(distances, 1.5 + 1e-6) == pytest.approx(by_voxel, abs=1e-6)
    overlap = metrics.compute_dice(*pair, include_background=False).item()
    assert dice(reference, prediction) == pytest.approx(overlap, rel=1e-6)
    assert hausdorff95(distances) == pytest.approx(hd95, rel=1e-6)
    assert average_distance(distances) == pytest.approx(assd, rel=1e-6)
    assert surface_dice(reference, prediction, spacing, 1.5) == pytest.approx(nsd, abs=2e-3)
