"""Painting inside somebody else's MONAI pipeline: a dictionary transform."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, RandomizableTransform

from freetumor.core.config import Synthesizer
from freetumor.core.labels import organ_code
from freetumor.core.settings import load
from freetumor.synthesizer.assembly import assemble, untrained
from freetumor.synthesizer.cases import ArrayCase
from freetumor.synthesizer.tumor import TumorSynthesizer

ORGAN = "organ"
TOLERANCE = 0.1  # relative, between the spacing of an image and the one that networks were trained at


class RandPaintTumord(RandomizableTransform, MapTransform):
    """Paint synthetic tumors into healthy organs, at random.

    Works on what MONAI's loaders and croppers give: channel-first images of one channel with three axes. Voxels outside the
    painted lesions keep their exact values. The number of painted lesions is given under the key ``painted``.

    Args:
        keys: image and label, in this order.
        organ: value of the organ in the label.
        tumor: value to write where a lesion was painted; voxels that have it already are never touched.
        synthesizer: how to paint: a section ``synthesizers.<name>`` of the configuration, of parts that need no training; or a
            :class:`TumorSynthesizer` (see :func:`load_synthesizer`).
        prob: probability that anything is painted.
        lesions: least and most lesions; they never touch.
        window: HU interval that an image value of 0 to 1 stands for; None if images are in HU.
        spacing: mm per voxel in the order of the image's axes; None: of the image's affine (MetaTensor).
        index: position of the organ among those that the synthesizer was trained for.

    Example:
        ``RandPaintTumord(["image", "label"], organ=1, tumor=2, synthesizer={"painter": {"kind": "constant"}})``
    """

    def __init__(
        self,
        keys: KeysCollection,
        organ: int = 1,
        tumor: int = 2,
        synthesizer: TumorSynthesizer | Synthesizer | Mapping[str, Any] | None = None,
        prob: float = 0.5,
        lesions: tuple[int, int] = (1, 1),
        window: tuple[float, float] | None = None,
        spacing: Sequence[float] | None = None,
        index: int = 0,
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        if len(self.keys) != 2:
            raise ValueError(f"keys: expected an image and a label, got {list(self.keys)}")
        if not 1 <= lesions[0] <= lesions[1]:
            raise ValueError(f"lesions: expected least and most, at least 1, got {lesions}")
        self.organ, self.tumor, self.index = organ, tumor, index
        self.lesions, self.window, self.spacing = lesions, window, spacing
        if not isinstance(synthesizer, TumorSynthesizer):
            synthesizer = untrained(Synthesizer.model_validate(synthesizer or {"painter": {"kind": "constant"}}))
        self.synthesizer = synthesizer

    def randomize(self, data: Any = None) -> None:
        """Draw whether to paint, how many lesions, and the seed of everything else."""
        super().randomize(data)
        self.count = int(self.R.randint(self.lesions[0], self.lesions[1] + 1))
        self.seed = int(self.R.randint(2**31 - 1))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Paint into a copy of ``data``.

        Raises:
            ValueError: if image and label are not one channel of one shape, or the spacing is not known.
        """
        result = dict(data)
        self.randomize()
        image, label = (result[key] for key in self.keys)
        if image.ndim != 4 or image.shape[0] != 1 or tuple(image.shape) != tuple(label.shape):
            given = f"{tuple(image.shape)} and {tuple(label.shape)}"
            raise ValueError(f"{list(self.keys)}: expected one channel and three axes of one shape, got {given}")
        result["painted"] = 0
        if not self._do_transform:
            return result
        image, label = (value.clone() if isinstance(value, torch.Tensor) else value.copy() for value in (image, label))
        result["painted"] = self._paint(image, label)
        result[self.keys[0]], result[self.keys[1]] = image, label
        return result

    def _paint(self, image: Any, label: Any) -> int:
        """Paint into an image and a label in place; the number of lesions."""
        low, high = self.window or (0.0, 1.0)
        scale = high - low if self.window else 1.0
        pixels = _to_numpy(image[0]).transpose(2, 1, 0)
        classes = _to_numpy(label[0]).transpose(2, 1, 0)
        hu = np.clip(np.rint(pixels * scale + (low if self.window else 0.0)), -32768, 32767).astype(np.int16)
        codes = np.where(classes == self.organ, organ_code(self.index), 0).astype(np.uint8)
        organs = [f"{ORGAN}{number}" for number in range(self.index + 1)]
        case = ArrayCase(hu, codes, self._checked(self._spacing(image)), organs, str(self.seed))
        rng = np.random.Generator(np.random.PCG64(self.seed))
        painted = 0
        for made in self.synthesizer.make_some(case, [self.index] * self.count, rng):
            if not made.accepted:
                continue
            painted += 1
            box, inner = _overlap(made.canvas.corner, made.lesion.shape, hu.shape)
            change = (made.image.astype(np.float32) - made.canvas.image)[inner] / scale
            _add(image[0], box, change)
            _write(label[0], box, made.lesion[inner], self.tumor)
        return painted

    def _checked(self, spacing: tuple[float, ...]) -> tuple[float, ...]:
        """The spacing, if the networks of the synthesizer know it."""
        known = self.synthesizer.spacing
        if known is not None and not np.allclose(spacing, known, rtol=TOLERANCE):
            given, trained = (" x ".join(f"{value:g}" for value in triple) for triple in (spacing, known))
            raise ValueError(
                f"spacing: the synthesizer was trained at {trained} mm (z, y, x), the image has {given}; resample it"
            )
        return spacing

    def _spacing(self, image: Any) -> tuple[float, ...]:
        """mm per voxel, (z, y, x)."""
        if self.spacing is not None:
            return tuple(float(value) for value in self.spacing)[::-1]
        if not isinstance(image, MetaTensor):
            raise ValueError("spacing: must be given, the image is no MetaTensor with an affine")
        return tuple(float(value) for value in image.pixdim)[::-1]


def load_synthesizer(
    config: str | Path, name: str, weights: str | Path | None = None, segmenter: str | Path | None = None, device: str = "cpu"
) -> TumorSynthesizer:
    """A synthesizer of a study, for :class:`RandPaintTumord`.

    Args:
        config: the resolved configuration of the study, ``results/<study>/config.yaml``.
        name: key of ``synthesizers``; not one that transplants real lesions.
        weights: its trained generator, if it has one.
        segmenter: the trained segmenter, if its gate needs it.
        device: where networks run.

    Raises:
        UserError: if weights are missing or do not fit.
    """
    return assemble(name, load(Path(config)), [], torch.device(device), weights, segmenter)


def _to_numpy(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def _overlap(corner: Sequence[int], size: Sequence[int], shape: Sequence[int]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The part of a patch that lies in a volume: in voxels of the volume, and of the patch."""
    sides = [(max(c, 0), min(c + n, m), c) for c, n, m in zip(corner, size, shape, strict=True)]
    return tuple(slice(a, b) for a, b, _ in sides), tuple(slice(a - c, b - c) for a, b, c in sides)


def _add(array: Any, box: tuple[slice, ...], change: np.ndarray) -> None:
    """Add to the part of an (x, y, z) array that a (z, y, x) box names."""
    change = change.transpose(2, 1, 0)
    array[box[::-1]] += torch.as_tensor(change, dtype=array.dtype, device=array.device) if torch.is_tensor(array) else change


def _write(array: Any, box: tuple[slice, ...], where: np.ndarray, value: int) -> None:
    """Write a value where a (z, y, x) mask is true."""
    where = np.ascontiguousarray(where.transpose(2, 1, 0))
    part = array[box[::-1]]
    part[torch.as_tensor(where, device=array.device) if torch.is_tensor(array) else where] = value
