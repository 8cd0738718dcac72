"""Regions show the lesion as it was stored; classic augmentation turns, mirrors, shifts and scales, and nothing else."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freetumor.core.errors import UserError
from freetumor.core.tables import FOLD_CASES, read_table
from freetumor.synthesizer.regions import (
    FLIPS,
    POOL,
    ROTATIONS,
    SCALES,
    SHIFTS,
    VARIANTS,
    Region,
    classic_group,
    classic_sample,
    open_regions,
    plain,
)
from tests.regions import CATEGORIES, make_region, make_region_fold, region_config

SIZE, STORED = 24, 38  # pixels of a region, and of what is stored around it
EDGE = (STORED - SIZE) // 2
NATIVE_PIXEL = 0.3  # so small that 4 native pixels are less than a tenth of the diameter


def make_config(**changes):
    return region_config(SIZE, synthesizers={}, synthesis={}, **changes)


@pytest.fixture(scope="module")
def config():
    return make_config()


@pytest.fixture(scope="module")
def table(tmp_path_factory, config):
    return read_table(make_region_fold(tmp_path_factory.mktemp("regions"), config), FOLD_CASES)


@pytest.fixture(scope="module")
def regions(table, config):
    return open_regions(table, config, "train")


def region_of(array, case_id="case", native_pixel=NATIVE_PIXEL):
    return Region(case_id, "patient", 0, np.asarray(array, np.float32), SIZE / 1.5, native_pixel, seed=3)


@pytest.fixture(scope="module")
def noise():
    return region_of(np.random.default_rng(1).normal(50, 30, (STORED, STORED)))


def test_the_regions_of_a_part_are_opened_in_the_order_of_their_cases(regions, table):
    train = table[table["part"] == "train"]
    assert [region.case_id for region in regions] == sorted(train["case_id"])
    for region in regions:
        name, index = region.case_id.split("-")
        assert CATEGORIES[region.category] == name
        stored = make_region(region.category, int(index), STORED, SIZE)
        np.testing.assert_array_equal(region.array, np.rint(stored))
        assert region.diameter == SIZE / 1.5


def test_a_pixel_of_the_original_image_is_known_in_stored_pixels(table, config):
    finer = table.assign(spacing="[5.0, 0.8, 0.8]", native_spacing="[5.0, 0.6, 0.6]")
    assert open_regions(finer, config, "train")[0].native_pixel == pytest.approx(0.75)


def test_a_category_that_the_study_does_not_name_is_a_user_error(table, config):
    foreign = table.assign(category=np.where(table["case_id"] == "cyst-000", "abscess", table["category"]))
    with pytest.raises(UserError, match=r"cyst-000.*abscess"):
        open_regions(foreign, config, "train")


def test_a_plain_region_is_the_middle_of_what_is_stored(noise, config):
    inner = noise.array[EDGE:-EDGE, EDGE:-EDGE]
    np.testing.assert_allclose(plain(noise, config), inner, atol=0.01)


@pytest.mark.parametrize("mirror", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
@pytest.mark.parametrize("turns", range(4))
def test_quarter_turns_and_mirrors_only_move_pixels(noise, config, turns, mirror):
    image = plain(noise, config)
    found = noise.crop(SIZE, SIZE, 90 * turns, mirror=mirror)
    expected = np.rot90(image, -turns)[:: mirror[0], :: mirror[1]]
    np.testing.assert_allclose(found, expected, atol=0.02)


@given(st.tuples(st.integers(-EDGE, EDGE), st.integers(-EDGE, EDGE)))
def test_a_shift_by_whole_pixels_only_moves_the_square(noise, shift):
    found = noise.crop(SIZE, SIZE, shift=shift)
    corner = [EDGE + step for step in shift]
    np.testing.assert_allclose(found, noise.array[corner[0] :][:SIZE, corner[1] :][:, :SIZE], atol=0.02)


def test_beyond_what_is_stored_the_edge_is_continued(noise):
    found = noise.crop(STORED + 10, STORED + 10)
    np.testing.assert_allclose(found, np.pad(noise.array, 5, mode="edge"), atol=0.05)


def motion(number, config):
    """Matrix and shift by which a sample reads its region, measured on two ramps."""
    y, x = np.indices((STORED, STORED)) - (STORED - 1) / 2
    third = slice(SIZE // 3, -SIZE // 3)  # the ramps end at the border of the stored square
    v, u = (np.indices((SIZE, SIZE)) - (SIZE - 1) / 2)[:, third, third].reshape(2, -1)
    basis = np.stack([v, u, np.ones_like(v)], axis=1)
    values = [classic_sample(region_of(ramp), number, config)[third, third].ravel() for ramp in (y, x)]
    solution = np.linalg.lstsq(basis, np.stack(values, axis=1), rcond=None)[0].T
    return solution[:, :2], solution[:, 2]


@given(st.integers(0, POOL - 1))
def test_a_sample_is_turned_and_mirrored_or_shifted_or_scaled_as_published(number):
    config = make_config()
    matrix, shift = motion(number, config)
    variant, diameter = number % VARIANTS, SIZE / 1.5
    scale = np.sqrt(abs(np.linalg.det(matrix)))
    np.testing.assert_allclose(matrix @ matrix.T, scale**2 * np.eye(2), atol=2e-3)  # no shear: shapes survive
    mirrored = np.linalg.det(matrix) < 0
    assert mirrored == (variant in (1, 2))
    shifted = FLIPS < variant <= FLIPS + SHIFTS
    turned_back = np.linalg.solve(matrix, shift) * scale
    assert np.abs(turned_back).max() <= 4 * NATIVE_PIXEL + 1e-2
    assert (np.abs(turned_back).max() > 1e-2) == shifted
    if variant > FLIPS + SHIFTS:
        assert 1.2 * diameter <= scale * SIZE * 1.001
        assert scale * SIZE <= 1.8 * diameter * 1.001
    else:
        assert scale == pytest.approx(1, abs=1e-3)
    assert pytest.approx(1, abs=1e-3) != matrix[0, 0]  # a turn by chance, not by zero


def test_a_shift_is_at_most_a_tenth_of_the_diameter(config):
    distance = np.hypot(*(np.indices((STORED, STORED)) - (STORED - 1) / 2))  # zero at the center of the lesion: find it
    shifts = []
    for index in range(30):
        image = classic_sample(region_of(distance, f"case-{index}", native_pixel=9.0), FLIPS + 1, config)
        place = np.unravel_index(image.argmin(), image.shape)
        shifts.append(np.abs(np.array(place) - (SIZE - 1) / 2).max())
    reach = 0.1 * SIZE / 1.5
    assert max(shifts) <= reach + 1
    assert max(shifts) > reach / 2


def test_rotations_are_up_to_half_a_turn_and_shared_by_their_variants(config):
    angles = []
    for rotation in range(ROTATIONS):
        (a, _), (b, _) = (motion(rotation * VARIANTS + variant, config) for variant in (0, FLIPS + 1))
        np.testing.assert_allclose(a, b, atol=2e-3)
        angles.append(np.degrees(np.arctan2(a[1, 0], a[0, 0])) % 360)
    assert min(angles) >= 0
    assert max(angles) <= 180
    assert min(angles) < 30
    assert max(angles) > 150
    assert VARIANTS == 1 + FLIPS + SHIFTS + SCALES
    assert POOL == 480


def test_smaller_groups_are_the_beginning_of_larger_ones(regions, config):
    images, categories = classic_group(regions, 60, config)
    for size in (0, 1, 7, 30):
        fewer, theirs = classic_group(regions, size, config)
        assert fewer.shape == (size, SIZE, SIZE)
        np.testing.assert_array_equal(fewer, images[:size])
        np.testing.assert_array_equal(theirs, categories[:size])


def test_every_lesion_gives_equally_many_different_samples(regions, config):
    images, categories = classic_group(regions, 3 * len(regions), config)
    assert np.bincount(categories).tolist() == [3 * sum(region.category == index for region in regions) for index in range(3)]
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)
    first, second = (classic_group(regions[:1], size, config)[0] for size in (3, 40))
    assert len(np.unique(second.reshape(40, -1), axis=0)) == 40
    found = {image.tobytes() for image in images}
    assert all(image.tobytes() in found for image in first)  # a lesion's samples do not depend on the other lesions


def test_the_order_of_the_lesions_changes_nothing(regions, config):
    images, categories = classic_group(regions, 20, config)
    again, theirs = classic_group(regions[::-1], 20, config)
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(categories, theirs)


def test_a_remainder_favors_no_category(config):
    """Cases sorted by category, as sources often name them: the first third must not get all of a third."""
    lesions = [SimpleNamespace(case_id=f"{index // 20}-{index:02d}", category=index // 20, seed=0) for index in range(60)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("freetumor.synthesizer.regions.classic_sample", lambda *_: np.zeros((SIZE, SIZE)))
        _, categories = classic_group(lesions, 80, config)
    assert np.abs(np.bincount(categories) - 80 / 3).max() <= 5


def test_a_group_larger_than_the_pool_is_a_user_error(regions, config):
    with pytest.raises(UserError, match=rf"group: 481 .* 1 lesions .* {POOL}"):
        classic_group(regions[:1], POOL + 1, config)


def test_other_seeds_give_other_samples(table):
    first, second = (
        classic_group(open_regions(table, make_config(seed=seed), "train"), 5, make_config())[0] for seed in (1, 2)
    )
    assert not np.array_equal(first, second)


def test_no_region_in_a_part_gives_none(config, table):
    assert open_regions(table, config, "pool") == []
