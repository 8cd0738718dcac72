"""Windows of the diffusion painter: the box around a lesion that its networks see, and the canvas without the lesion.

A window is a cube of the least size that leaves a margin around the lesion, so that a small lesion costs little. Windows of
real lesions, to learn from, and of simulated ones, to paint, are cut by the same rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from freetumor.core.config_synthesizer import Diffusion
from freetumor.core.seeding import generator

from .cases import Case, Patch, organ_mask, tumor_mask
from .painters import window_image

RIM = 2  # voxels around a lesion that are erased with it: its blurred border would give away its contrast
Index = tuple[int, int, int]


@dataclass(frozen=True)
class Window:
    """A lesion and its surroundings as the networks see them, float32 (z, y, x)."""

    image: np.ndarray  # -1 to 1
    erased: np.ndarray  # -1 to 1
    lesion: np.ndarray  # 0 or 1
    organ: int


class LesionWindows:
    """Windows to learn from.

    Args:
        labeled: cases with annotated tumors.
        pool: further cases, for the autoencoder.
        organs: organs of the study.
        settings: margin and stride.
        patch: patch of the study, in voxels; no window is larger than it takes to hold one.
        window: HU interval that -1 to 1 stand for.
    """

    def __init__(
        self,
        labeled: Sequence[Case],
        pool: Sequence[Case],
        organs: Sequence[str],
        settings: Diffusion,
        patch: Index,
        window: tuple[float, float],
    ) -> None:
        self.organs, self.settings, self.size, self.window = list(organs), settings, patch, window
        self.lesions = [
            (case, index, box) for case in labeled for index, organ in enumerate(organs) for box in case.lesions(organ)
        ]
        self.hosts = [case for case in (*labeled, *pool) if case.organs]

    def lesion(self, rng: np.random.Generator) -> Window:
        """A window around a random annotated lesion, flipped at random; every lesion is as likely as any other."""
        case, organ, box = self.lesions[rng.integers(len(self.lesions))]
        low, high = box[::2], box[1::2]
        size = window_size(high - low, self.settings, self.size)
        patch = case.patch(_corner(low, high, size, rng), size)
        if not tumor_mask(patch.label, organ).any():  # a part of a large lesion's box that the lesion does not reach
            site = case.random_site(f"{self.organs[organ]}_tumor", rng)
            patch = case.patch(_corner(site, site + 1, size, rng), size)
        window = cut(patch, tumor_mask(patch.label, organ), organ, self.window)
        axes = [axis for axis in range(3) if rng.random() < 0.5]
        image, erased, lesion = (np.flip(a, axes).copy() for a in (window.image, window.erased, window.lesion))
        return Window(image, erased, lesion, organ)

    def tissue(self, rng: np.random.Generator) -> np.ndarray:
        """A window of the size of a lesion's, at a lesion (half of them) or anywhere in an organ: float32, -1 to 1."""
        if rng.random() < 0.5:
            return self.lesion(rng).image
        _, _, box = self.lesions[rng.integers(len(self.lesions))]
        size = window_size(box[1::2] - box[::2], self.settings, self.size)
        case = self.hosts[rng.integers(len(self.hosts))]
        site = case.random_site(case.organs[rng.integers(len(case.organs))], rng)
        return scaled(case.patch(_corner(site, site + 1, size, rng), size).image, self.window)


class Samples:
    """What the steps of the training need: of the autoencoder up to its last, then of the denoiser.

    Args:
        windows: windows to learn from.
        settings: of the diffusion.
        slots: the slots of a batch that are made, of either phase.
        key: seed key of the training.
    """

    def __init__(self, windows: LesionWindows, settings: Diffusion, slots: tuple[range, range], *key: str | int) -> None:
        self.windows, self.settings, self.slots, self.key = windows, settings, slots, key

    def __call__(self, step: int) -> list[tuple[np.ndarray, np.ndarray]] | list[tuple[Window, np.ndarray, int]]:
        """Per slot an image and noise of its latents; for the denoiser a window, noise, and a time."""
        phase = int(step > self.settings.autoencoder.training.steps)
        draws = [generator(*self.key, "sample", step, slot) for slot in self.slots[phase]]
        return [self._lesion(rng) if phase else self._tissue(rng) for rng in draws]

    def _tissue(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        image = self.windows.tissue(rng)
        return image, latent_noise(image.shape, self.settings, rng)

    def _lesion(self, rng: np.random.Generator) -> tuple[Window, np.ndarray, int]:
        window = self.windows.lesion(rng)
        noise = latent_noise(window.image.shape, self.settings, rng)
        return window, noise, int(rng.integers(self.settings.denoiser.timesteps))


def latent_noise(shape: Sequence[int], settings: Diffusion, rng: np.random.Generator) -> np.ndarray:
    """Normal noise of the latents of an image of ``shape``, float32 (latent, z, y, x)."""
    cells = (length // settings.cell for length in shape)
    return rng.standard_normal((settings.autoencoder.latent, *cells), np.float32)


def window_size(lengths: np.ndarray, settings: Diffusion, patch: Index) -> Index:
    """Voxels of the window of a lesion.

    Args:
        lengths: voxels of the lesion's bounding box.
        settings: margin and stride.
        patch: patch of the study; a window is at most as large as it takes to hold it.
    """
    least = int(max(lengths)) + 2 * settings.margin
    return tuple(-(-min(least, length) // settings.stride) * settings.stride for length in patch)


def cut(patch: Patch, lesion: np.ndarray, organ: int, window: tuple[float, float]) -> Window:
    """The window of a lesion as the networks see it."""
    erased = erase(patch.image, patch.label, lesion, organ)
    return Window(scaled(patch.image, window), scaled(erased, window), lesion.astype(np.float32), organ)


def erase(image: np.ndarray, label: np.ndarray, lesion: np.ndarray, organ: int) -> np.ndarray:
    """The image with a lesion, and a rim around it within the organ, at the median HU of the healthy organ around.

    The published code fills with zeros of the scaled image, one HU level for all organs; the median tells the denoiser the
    level that the lesion's contrast refers to.

    Args:
        image: HU (z, y, x).
        label: study codes.
        lesion: bool, what to erase.
        organ: position in the organs of the study.
    """
    host = organ_mask(label, organ)
    region = (distance_transform_edt(~lesion) <= RIM) & (lesion | host)
    around = host & ~region
    if not around.any():  # a lesion that fills its organ as far as the window shows
        around = ~region
    level = np.median(image[around]) if around.any() else 0.0
    return np.where(region, np.float32(level), image.astype(np.float32))


def scaled(image: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """HU to -1 to 1 (clipped), float32."""
    return window_image(image, window) * 2 - 1


def _corner(low: np.ndarray, high: np.ndarray, size: Index, rng: np.random.Generator) -> Index:
    """A corner of a window of ``size`` that holds the box, or lies within it along axes where it is longer."""
    corner = []
    for a, b, length in zip(low, high, size, strict=True):
        least, most = sorted((int(b) - length, int(a)))
        corner.append(int(rng.integers(least, most + 1)))
    return tuple(corner)
