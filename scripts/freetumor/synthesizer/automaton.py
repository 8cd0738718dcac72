"""Tumor growth by a cellular automaton: cells fill up, infect their neighbors, press against walls, and die in the middle.

A voxel is a cell with a state from 0 (healthy) to 10 (full). All cells of a step act on the state before it and what they
add is summed, then clipped: no order among neighbors is left to chance. Random numbers come in one block per step, in the order
of the list of active cells, which depends on the history of the growth alone.

Reference:
    Lai et al. 2024 (Pixel2Cancer). In the published code the random number of acceptance is truncated to zero, so that dense
    tissue hinders nothing; necrosis is lost from the label; and the generator is seeded by a clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from freetumor.core.config_synthesizer import Growth

FULL, MATURE = 10, 5  # states: saturated; old enough to infect neighbors
ONE = 1 << 16  # acceptance 1.0
NEIGHBORS = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)  # a cell and its 26 neighbors
PRUNE = 3  # steps between two looks for cells that can do no more
DEATH = 7  # steps of growth per step of necrosis
MOST_SAMPLES = 20_000  # voxels from which the quantiles of an organ are estimated


@dataclass(frozen=True)
class Terrain:
    """What a tumor grows in.

    Attributes:
        chance: int32 (z, y, x), the chance that a cell accepts an infection, in 1/65536; 0 where nothing can grow.
        wall: bool (z, y, x), tissue too dense to grow in until a wall is broken.
        dense: the chance within a broken wall.
    """

    chance: np.ndarray
    wall: np.ndarray
    dense: int


@dataclass(frozen=True)
class Grown:
    """A grown tumor.

    Attributes:
        state: uint8 (z, y, x), 0 to 10; the tumor, necrosis included, is where it is not 0.
        core: bool (z, y, x), necrosis.
        steps: of growth.
        broken: walls broken.
    """

    state: np.ndarray
    core: np.ndarray
    steps: int
    broken: int


def own_limits(image: np.ndarray, host: np.ndarray) -> tuple[float, float]:
    """HU limits of an organ from its own quantiles: ``(m - w / 2, m + 5 w / 2)``, m its median, w from its 16% quantile to m.

    Only the darker half is measured, so that bright vessels, which shall become walls, do not widen the interval. A liver of
    110 +- 20 HU gets 100 to 160 HU, as published.
    """
    low, middle = np.quantile(_sample(image, host), (0.16, 0.5))
    width = max(float(middle - low), 1.0)
    return float(middle - width / 2), float(middle + 5 * width / 2)


def make_terrain(
    image: np.ndarray,
    host: np.ndarray,
    spacing: Sequence[float],
    limits: tuple[float, float] | None,
    rule: Growth,
) -> Terrain:
    """Levels of density: equal parts of an HU interval, each with its chance of infection; denser tissue is a wall.

    Args:
        image: HU (z, y, x).
        host: bool (z, y, x), the organ, not empty; nothing grows outside.
        spacing: mm per voxel.
        limits: HU interval; None for the organ's own.
        rule: chance of infection per level; smoothing against noise, which stays within the organ.
    """
    density = image.astype(np.float32)
    density[~host] = np.median(_sample(image, host))
    if rule.smoothing > 0:
        density = gaussian_filter(density, [rule.smoothing / s for s in spacing], truncate=2.5)
    low, high = own_limits(density, host) if limits is None else limits
    chances = np.rint(np.multiply(rule.acceptance, ONE)).astype(np.int32)
    level = np.clip((density - low) * (len(chances) / max(high - low, 1e-3)), 0, len(chances) - 0.5).astype(np.intp)
    wall = host & (density > high)
    return Terrain(np.where(host & ~wall, chances[level], 0).astype(np.int32), wall, int(chances[-1]))


def _sample(image: np.ndarray, host: np.ndarray) -> np.ndarray:
    """Evenly many of the values of an organ, enough for its quantiles."""
    values = image[host]
    return values[:: 1 + len(values) // MOST_SAMPLES]


def axis_chances(spacing: Sequence[float]) -> np.ndarray:
    """The chance per axis that a cell turns to a neighbor off its own place along it, so that growth is isotropic in mm.

    A uniform choice among a cell and its 26 neighbors is a step of -1, 0 or 1 along each axis, each with chance 1/3. Along an
    axis with voxels k times as long as the shortest, the chance to leave the cell's own place falls from 2/3 to ``2/3 k^-p``
    with ``p = 2.35 + 0.4 ln k``. Equal spread of the steps in mm would be p = 2; but a front is led by its fastest cells, which
    makes it too fast along long voxels. The exponent was measured up to k = 5: in tissue of mixed density the standard
    deviations of tumors of 16 mm along the axes agree within 4% (13% where all tissue is dense); in few slices, less well.
    """
    ratio = np.divide(spacing, min(spacing))
    return 2 / 3 * ratio ** -(2.35 + 0.4 * np.log(ratio))


def plant(
    host: np.ndarray, spacing: Sequence[float], center: Sequence[int], count: int, distance: float, rng: np.random.Generator
) -> np.ndarray:
    """Satellites: ``count`` voxels of ``host`` (or all there are), uniform within ``distance`` mm of ``center``; int (n, 3)."""
    near = np.argwhere(host & (distance_from(host.shape, spacing, center) <= distance**2))
    return near[np.sort(rng.permutation(len(near))[:count])]


def distance_from(shape: Sequence[int], spacing: Sequence[float], center: Sequence[int]) -> np.ndarray:
    """Squared distance of each voxel from ``center`` in square mm, float64 (z, y, x)."""
    squares = [((np.arange(n) - c) * s) ** 2 for n, c, s in zip(shape, center, spacing, strict=True)]
    return squares[0][:, None, None] + squares[1][:, None] + squares[2]


def grow(
    terrain: Terrain, spacing: Sequence[float], seeds: np.ndarray, voxels: float, rule: Growth, rng: np.random.Generator
) -> Grown:
    """Grow a tumor until it has a volume, has nowhere to go, or the steps are used up.

    In a step every cell below 10 fills by one. A cell of 5 or more turns to random neighbors, up to ``tries`` times, until
    one accepts the infection, by the chance of its tissue, and fills by one. A full cell that turns to a wall
    presses on it; a wall pressed ``pressure`` times within a step breaks and is dense tissue from then on.

    Args:
        terrain: chances and walls.
        spacing: mm per voxel.
        seeds: voxels (n, 3) that start in state 5; necrosis starts in the first.
        voxels: the volume to reach.
        rule: tries, pressure, steps, necrosis.
        rng: source of randomness.
    """
    colony = _Colony(terrain, axis_chances(spacing), np.asarray(seeds), rule)
    while colony.size < voxels and colony.steps < rule.max_steps and len(colony.cells):
        colony.step(rng)
    dying = rng.random() < rule.necrosis_share and colony.steps > rule.necrosis_after
    core = colony.die(colony.steps // DEATH + 1 if dying else 0, rng)
    return Grown(colony.inner(colony.state), colony.inner(core), colony.steps, colony.broken)


class _Colony:
    """The cells of a growing tumor, on flat arrays with a closed border of one voxel, so that every cell has 26 neighbors."""

    def __init__(self, terrain: Terrain, chances: np.ndarray, seeds: np.ndarray, rule: Growth) -> None:
        self.shape = tuple(n + 2 for n in terrain.chance.shape)
        self.rule, self.dense = rule, terrain.dense
        self.chance, self.wall = (np.pad(array, 1).ravel() for array in (terrain.chance, terrain.wall))
        self.open = (self.chance > 0) | self.wall  # what can still be filled or broken
        self.state = np.zeros(self.chance.size, np.uint8)
        self.low, self.high = seeds.min(axis=0) + 1, seeds.max(axis=0) + 2
        strides = np.array([self.shape[1] * self.shape[2], self.shape[2], 1])
        weights = np.prod(np.where(NEIGHBORS == 0, 1 - chances, chances / 2), axis=1)
        ends = np.rint(ONE * np.cumsum(weights) / weights.sum()).astype(np.intp)
        self.turn = np.repeat(NEIGHBORS @ strides, np.diff(ends, prepend=0))  # a neighbor for each of 65,536 random numbers
        self.cells = np.unique((seeds + 1) @ strides)  # those that can still do something
        self.seed = int((seeds[0] + 1) @ strides)
        self.state[self.cells], self.wall[self.cells] = MATURE, False
        self.size, self.steps, self.broken = len(self.cells), 0, 0

    def inner(self, flat: np.ndarray) -> np.ndarray:
        """A flat array without its border, (z, y, x)."""
        return np.ascontiguousarray(flat.reshape(self.shape)[1:-1, 1:-1, 1:-1])

    def step(self, rng: np.random.Generator) -> None:
        """Fill, infect, break walls."""
        self.steps += 1
        cells, state = self.cells, self.state
        old = state[cells]
        infected, pressed = self._turn(cells[old >= MATURE], old[old >= MATURE] == FULL, rng)
        fresh = np.unique(infected[state[infected] == 0])
        state[cells] = old + (old < FULL)
        np.add.at(state, infected, np.uint8(1))
        cells = np.concatenate([cells, fresh])
        full = cells[state[cells] >= FULL]
        state[full], self.chance[full], self.open[full] = FULL, 0, False
        self._break(pressed)
        self.size += len(fresh)
        self.cells = cells if self.steps % PRUNE else self._prune(cells)

    def _turn(self, cells: np.ndarray, full: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Neighbors that accepted an infection, and walls that were pressed; repeated as often as that happened."""
        infected, pressed = [], []
        draws = rng.integers(0, ONE * ONE, (self.rule.tries, len(cells)), dtype=np.uint32)
        left = np.arange(len(cells))
        for draw in draws:
            draw = draw[left]
            target = cells[left] + self.turn[draw >> 16]
            accepted = (draw & (ONE - 1)) < self.chance[target]
            infected.append(target[accepted])
            refused = ~accepted
            pressed.append(target[refused & full[left] & self.wall[target]])
            left = left[refused]
        return np.concatenate(infected), np.concatenate(pressed)

    def _break(self, pressed: np.ndarray) -> None:
        walls, presses = np.unique(pressed, return_counts=True)
        walls = walls[presses >= self.rule.pressure]
        self.wall[walls], self.chance[walls], self.open[walls] = False, self.dense, self.dense > 0
        self.broken += len(walls)

    def _prune(self, cells: np.ndarray) -> np.ndarray:
        """Cells that are not full, or have a neighbor that can be filled or broken."""
        low, high = np.maximum(self.low - self.steps - 1, 0), np.minimum(self.high + self.steps + 1, self.shape)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        active = np.zeros(self.shape, bool)
        active[box] = _dilated(self.open.reshape(self.shape)[box])
        return cells[(self.state[cells] < FULL) | active.ravel()[cells]]

    def die(self, steps: int, rng: np.random.Generator) -> np.ndarray:
        """Necrosis that spreads from the first seed as the tumor did, but only through full cells, and without ripening."""
        mortal = self.state == FULL
        dead = np.zeros(0, np.intp)
        if steps and mortal[self.seed]:
            dead = np.append(dead, self.seed)
        for _ in range(steps):
            mortal[dead] = False
            target = dead + self.turn[rng.integers(0, ONE, (self.rule.tries, len(dead)), dtype=np.uint32)]
            hit = mortal[target]
            dead = np.concatenate([dead, np.unique(target[hit & (np.cumsum(hit, axis=0) == 1)])])
        core = np.zeros(mortal.size, bool)
        core[dead] = True
        return core


def _dilated(mask: np.ndarray) -> np.ndarray:
    """A mask and the 26 neighbors of its voxels, one axis after another."""
    for axis in range(3):
        lower = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        upper = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        wide = mask.copy()
        wide[lower] |= mask[upper]
        wide[upper] |= mask[lower]
        mask = wide
    return mask
