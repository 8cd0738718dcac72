"""Pixel2Cancer (Lai et al., MICCAI 2024): a cellular automaton on the box of the organ.

What is published: HU between 100 and 160 in three equal levels of density, a wall above and outside the organ; states 0 to
10; 1 to 9 seeds of state 5, one third of them with 3 to 9 satellites within 10 voxels; each step a cell below 5 grows by one,
a cell from 5 on grows by one and tries, up to three times, to add one to a random of its 27 neighbors, accepted with
probability 1.0, 0.3 or 0.1 by level; a saturated cell presses a wall, and enough presses within a step break it; U(5, 150)
steps in the liver; ``x - texture * U(65, 145) * state / 10``, the states blurred slice by slice.

Here every step looks at the whole box, vectorized. The necrotic core and the darkening of vessels are left out.

Axis order is (x, y, z).
"""

import numpy as np
from scipy.ndimage import gaussian_filter

from .syntumor import CONTRAST, bounding_box

LEVELS = (100.0, 160.0)  # HU
ACCEPTANCE = np.array([1.0, 0.3, 0.1])
SATURATED, SPREADING = 10, 5
WALL = 3
STEPS = (5, 150)
QUARTERS = (23, 59, 96, 132)  # the middles of four equal parts of that range
BREAK = 3  # presses within a step that break a wall; the description gives no number
NEIGHBORS = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


def density_levels(image: np.ndarray, organ: np.ndarray) -> np.ndarray:
    """Levels 0, 1, 2 of density, ``WALL`` outside the organ and in what is brighter; a border of wall one voxel wide."""
    low, high = LEVELS
    level = np.clip((image - low) / (high - low) * 3, 0, 2).astype(np.int8)
    level[~organ | (image > high)] = WALL
    return np.pad(level, 1, constant_values=WALL)


def plant(level: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The first state: seeds, some of them with satellites."""
    state = np.zeros(level.shape, np.int8)
    soil = np.argwhere(level < WALL)
    seeds = soil[rng.integers(len(soil))] + rng.integers(-3, 4, (int(rng.integers(1, 10)), 3))
    cells = [*seeds]
    for seed in seeds:
        if rng.random() < 1 / 3:
            cells += [*(seed + rng.integers(-10, 11, (int(rng.integers(3, 10)), 3)))]
    for cell in np.clip(cells, 0, np.array(level.shape) - 1):
        if level[tuple(cell)] < WALL:
            state[tuple(cell)] = SPREADING
    return state


def step(state: np.ndarray, level: np.ndarray, rng: np.random.Generator) -> None:
    """One step, in place."""
    spreading = np.argwhere(state >= SPREADING)
    saturated = state[tuple(spreading.T)] == SATURATED
    state[(state > 0) & (state < SATURATED)] += 1
    pressure = np.zeros(state.shape, np.int16)
    for _ in range(3):
        target = spreading + NEIGHBORS[rng.integers(len(NEIGHBORS), size=len(spreading))]
        where = tuple(target.T)
        wall = level[where] == WALL
        np.add.at(pressure, tuple(target[wall & saturated].T), 1)
        chance = np.where(wall, 0, ACCEPTANCE[np.minimum(level[where], 2)])
        accepted = rng.random(len(target)) < chance
        np.add.at(state, tuple(target[accepted].T), 1)
        np.minimum(state, SATURATED, out=state)
        spreading, saturated = spreading[~accepted], saturated[~accepted]
    inner = (slice(1, -1),) * 3
    level[inner][pressure[inner] >= BREAK] = 0


def paint(image: np.ndarray, label: np.ndarray, texture: np.ndarray, steps: int, rng: np.random.Generator) -> int:
    """Grow a tumor for ``steps`` steps in organ 1 and paint it, in place; it becomes 2.

    Args:
        image: float32 HU (x, y, z).
        label: uint8, same shape.
        texture: at least as large as the organ's box.
        steps: uniform in ``STEPS`` as published.
        rng: source of randomness.

    Returns:
        Voxels of the tumor.
    """
    box = bounding_box(label == 1)
    organ = label[box] == 1
    level = density_levels(image[box], organ)
    state = plant(level, rng)
    for _ in range(steps):
        step(state, level, rng)
    state = state[1:-1, 1:-1, 1:-1]
    amount = gaussian_filter(state / SATURATED, (0.8, 0.8, 0))
    start = [int(rng.integers(have - need + 1)) for have, need in zip(texture.shape, organ.shape, strict=True)]
    crop = texture[tuple(slice(a, a + n) for a, n in zip(start, organ.shape, strict=True))]
    image[box] -= crop * amount * rng.uniform(*CONTRAST) * organ
    mask = (state > 0) & organ
    label[box][mask] = 2
    return int(mask.sum())
