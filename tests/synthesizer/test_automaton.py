"""Growth by a cellular automaton: its rule, walls and size, and that it is the same in every direction and on every run."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from freetumor.core.config_synthesizer import Growth
from freetumor.core.seeding import generator
from freetumor.synthesizer.automaton import Terrain, axis_chances, grow, make_terrain, own_limits, plant

ONE = 65536
CUBE = (1.0, 1.0, 1.0)


def even(shape, chance=1.0, wall=None):
    """Terrain of one chance, or of a chance per voxel, with walls."""
    wall = np.zeros(shape, bool) if wall is None else wall
    return Terrain(np.where(wall, 0, np.broadcast_to(chance, shape) * ONE).astype(np.int32), wall, int(0.1 * ONE))


def middle(shape):
    return np.array([[n // 2 for n in shape]])


def grow_ball(radius, spacing=CUBE, chance=1.0, seed=0, **rule):
    shape = [int(3.4 * radius / s) + 3 for s in spacing]
    voxels = 4 / 3 * np.pi * radius**3 / np.prod(spacing)
    return grow(even(shape, chance), spacing, middle(shape), voxels, Growth(**rule), generator("ball", seed)), voxels


def noisy_organ(seed=0, shape=(32, 36, 40)):
    rng = generator("organ", seed)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    host = np.linalg.norm(grid, axis=0) < 0.95
    return np.rint(np.where(host, rng.normal(110, 20, shape), -60)).astype(np.int16), host


def test_the_same_seed_grows_the_same_bytes_and_another_one_others():
    image, host = noisy_organ()
    terrain = make_terrain(image, host, CUBE, None, Growth())
    runs = [grow(terrain, CUBE, middle(host.shape), 2000, Growth(), generator("run", seed)) for seed in (1, 1, 2)]
    assert runs[0].state.tobytes() == runs[1].state.tobytes()
    assert runs[0].core.tobytes() == runs[1].core.tobytes()
    assert runs[0].state.tobytes() != runs[2].state.tobytes()


@pytest.mark.parametrize("chance", [1.0, 0.3, 0.1])
def test_a_single_try_infects_with_the_chance_of_the_tissue(chance):
    shape, seeds = (62, 62, 62), np.stack(np.meshgrid(*[np.arange(1, 60, 4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    grown = grow(even(shape, chance), CUBE, seeds, 1e9, Growth(max_steps=1, tries=1), generator("rate", str(chance)))
    rate = (np.count_nonzero(grown.state) - len(seeds)) / len(seeds)
    expected = chance * 26 / 27  # one choice in 27 is the cell itself
    assert rate == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / len(seeds)) + 1e-3)


def test_cells_ripen_before_they_infect():
    grown = grow(even((9, 9, 9)), CUBE, middle((9, 9, 9)), 1e9, Growth(max_steps=4, tries=1), generator("ripe"))
    assert grown.state[4, 4, 4] >= 9  # 5, and one per step
    assert 2 <= np.count_nonzero(grown.state) <= 5  # the seed alone infects, one neighbor per step
    assert (np.abs(np.argwhere(grown.state > 0) - 4) <= 1).all()


def test_dense_tissue_is_infected_more_slowly():
    shape, extents = (41, 41, 41), []
    chance = np.full(shape, 1.0)
    chance[:, :, 21:] = 0.1
    for seed in range(5):
        grown = grow(even(shape, chance), CUBE, middle(shape), 3000, Growth(), generator("sides", seed))
        voxels = np.argwhere(grown.state > 0)
        extents.append([20 - voxels[:, 2].min(), voxels[:, 2].max() - 20])
    loose, dense = np.mean(extents, axis=0)
    assert loose > 1.3 * dense
    fair = grow(even(shape), CUBE, middle(shape), 3000, Growth(), generator("sides", 0))
    assert np.argwhere(fair.state > 0)[:, 2].mean() == pytest.approx(20, abs=1)


@pytest.mark.parametrize("radius", [5.0, 9.0, 16.0])
def test_growth_ends_at_the_wanted_volume(radius):
    for seed in range(3):
        grown, voxels = grow_ball(radius, chance=0.5, seed=seed)
        assert 1 <= np.count_nonzero(grown.state) / voxels < 1.25


def test_a_tumor_is_one_piece_and_states_are_zero_to_ten():
    image, host = noisy_organ()
    grown = grow(make_terrain(image, host, CUBE, None, Growth()), CUBE, middle(host.shape), 4000, Growth(), generator("one"))
    assert ndimage.label(grown.state > 0, np.ones((3, 3, 3)))[1] == 1
    assert set(np.unique(grown.state)) == set(range(11))


@pytest.mark.parametrize(("spacing", "radius"), [((1, 1, 1), 12), ((5, 1, 1), 16), ((3, 1.5, 1.5), 16), ((2.5, 0.8, 0.8), 12)])
def test_growth_is_isotropic_in_millimeters(spacing, radius):
    ratios = []
    for seed in range(4):
        voxels = np.argwhere(grow_ball(radius, spacing, seed=seed)[0].state > 0)
        spread = np.sqrt((voxels.var(axis=0) + 1 / 12) * np.square(spacing))
        ratios.append(spread[0] / spread[1:].mean())
    assert np.mean(ratios) == pytest.approx(1, abs=0.08)


def test_equal_voxels_make_all_neighbors_equal():
    assert axis_chances((2.0, 2.0, 2.0)) == pytest.approx(2 / 3)
    long, short = axis_chances((5.0, 1.0, 1.0))[:2]
    assert long < 2 / 3 / 25  # less often than equal spread of the steps would ask for
    assert short == pytest.approx(2 / 3)


def test_nothing_grows_outside_the_organ_nor_through_a_wall_that_holds():
    image, host = noisy_organ()
    image[:, :, 26] = 300
    rule = Growth(pressure=1000, max_steps=100, smoothing=0)
    grown = grow(make_terrain(image, host, CUBE, None, rule), CUBE, np.array([[16, 18, 20]]), 1e9, rule, generator("wall"))
    assert not grown.state[~host].any()
    assert not grown.state[:, :, 26:].any()
    assert np.count_nonzero(grown.state[:, :, 25]) > 100  # it did press
    assert grown.broken == 0


def test_pressure_breaks_a_wall_and_the_tumor_goes_on_behind():
    shape = (15, 15, 25)
    wall = np.zeros(shape, bool)
    wall[:, :, 12] = True
    behind, broken = [], []
    for pressure in (2, 6):
        rule = Growth(pressure=pressure, max_steps=80)
        grown = grow(even(shape, wall=wall), CUBE, np.array([[7, 7, 6]]), 1e9, rule, generator("pressed"))
        behind.append(np.count_nonzero(grown.state[:, :, 13:]))
        broken.append(grown.broken)
    assert behind[0] > behind[1]
    assert broken[0] > broken[1]


def test_necrosis_is_full_tumor_around_the_seed_and_stays_tumor():
    grown, voxels = grow_ball(14, necrosis_share=1.0)
    assert grown.steps > 50
    assert 0.01 * voxels < np.count_nonzero(grown.core) < 0.5 * voxels
    assert (grown.state[grown.core] == 10).all()
    assert grown.core[tuple(middle(grown.core.shape)[0])]
    healthy = ndimage.distance_transform_edt(grown.state > 0)
    assert healthy[grown.core].min() > 1  # a living rim
    assert ndimage.label(grown.core, np.ones((3, 3, 3)))[1] == 1


def test_small_tumors_have_no_necrosis_and_the_share_is_kept():
    assert not any(grow_ball(5, necrosis_share=1.0, seed=seed)[0].core.any() for seed in range(5))
    assert not any(grow_ball(11, necrosis_share=0.0, seed=seed)[0].core.any() for seed in range(5))
    dead = [grow_ball(6, seed=seed, necrosis_after=10)[0].core.any() for seed in range(60)]
    assert 15 <= sum(dead) <= 45


def test_an_organ_smaller_than_the_tumor_is_filled_and_growth_ends():
    chance = np.zeros((12, 12, 12))
    chance[5:7, 3:9, 3:9] = 1
    grown = grow(even(chance.shape, chance), CUBE, np.array([[5, 5, 5]]), 1e9, Growth(), generator("plate"))
    assert np.array_equal(grown.state == 10, chance > 0)
    assert not grown.state[chance == 0].any()
    assert grown.steps < 100


def test_a_lone_voxel_ripens_and_ends():
    chance = np.zeros((5, 5, 5))
    chance[2, 2, 2] = 1
    grown = grow(even(chance.shape, chance), CUBE, np.array([[2, 2, 2]]), 1e9, Growth(), generator("lone"))
    assert np.count_nonzero(grown.state) == 1
    assert grown.state[2, 2, 2] == 10
    assert grown.steps <= 6


def test_levels_divide_the_limits_into_three_and_above_is_a_wall():
    image = np.array([90, 100, 119, 121, 139, 141, 159, 161, 300], np.int16).reshape(1, 1, 9)
    terrain = make_terrain(image, np.ones(image.shape, bool), CUBE, (100, 160), Growth(smoothing=0))
    expected = np.rint(np.array([1, 1, 1, 0.3, 0.3, 0.1, 0.1, 0, 0]) * ONE)
    assert np.array_equal(terrain.chance.ravel(), expected)
    assert np.array_equal(terrain.wall.ravel(), [0, 0, 0, 0, 0, 0, 0, 1, 1])
    outside = make_terrain(image, image < 150, CUBE, (100, 160), Growth(smoothing=0))
    assert not outside.chance[image > 150].any()
    assert not outside.wall.any()


def test_what_lies_beside_the_organ_makes_no_walls_in_it():
    image = np.full((8, 8, 16), 110, np.int16)
    image[:, :, 8:] = 1000
    host = image < 500
    terrain = make_terrain(image, host, CUBE, (100, 160), Growth(smoothing=2.0))
    assert np.array_equal(terrain.chance, np.where(host, ONE, 0))
    assert not terrain.wall.any()
    dense = make_terrain(image, host, CUBE, (0, 50), Growth())
    assert np.array_equal(dense.wall, host)  # no wall that could be broken outside


def test_own_limits_follow_the_organ_and_ignore_its_vessels():
    rng = generator("limits")
    image, host = rng.normal(110, 20, (30, 30, 30)), np.ones((30, 30, 30), bool)
    assert own_limits(image, host) == pytest.approx((100, 160), abs=3)  # 20 HU is 0.994 of the spread of a normal distribution
    assert own_limits(image * 3 - 1000, host) == pytest.approx((-700, -520), abs=9)
    image[:2] = 250
    assert own_limits(image, host) == pytest.approx((100, 160), abs=6)


@settings(max_examples=20)
@given(st.integers(0, 100), st.integers(-1000, 1000))
def test_an_organ_of_one_value_has_no_walls(seed, level):
    host = generator("flat", seed).random((4, 5, 6)) < 0.6
    host[0, 0, 0] = True
    terrain = make_terrain(np.full(host.shape, level, np.int16), host, CUBE, None, Growth())
    assert np.array_equal(terrain.chance, np.where(host, ONE, 0))
    assert not terrain.wall.any()


def test_satellites_lie_in_the_organ_within_their_distance_in_millimeters():
    spacing, center, host = (4.0, 1.0, 2.0), (6, 20, 12), np.ones((12, 40, 24), bool)
    host[:, :20] = False
    placed = np.concatenate([plant(host, spacing, center, 9, 10.0, generator("satellites", seed)) for seed in range(60)])
    distance = np.linalg.norm((placed - center) * spacing, axis=1)
    assert len(placed) == 540
    assert host[tuple(placed.T)].all()
    assert 9 < distance.max() <= 10
    assert np.ptp(placed[:, 0]) == 4  # two slices of 4 mm on either side
    assert len(plant(host & False, spacing, center, 9, 10.0, generator("none"))) == 0
