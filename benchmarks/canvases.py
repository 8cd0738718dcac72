"""The volumes that are painted on: a noisy body with a liver-sized organ, as files, in the store and in memory.

Axis order is (z, y, x), toward superior, posterior and left, as in the library.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np

from freetumor.core.seeding import generator
from freetumor.preprocessing.sites import find_sites, write_sites
from freetumor.preprocessing.store import write_array

NAMES = {1: "liver", 2: "liver_tumor"}
LIVER_MM = (178.0, 190.0, 237.0)  # bounding box (z, y, x) of the organ
# A thick right lobe that fills the height and a thin left lobe in front of it: center and semi-axes (z, y, x) in mm, 1.7 L.
LOBES = (((0.0, 25.0, -70.0), (89.0, 70.0, 48.0)), ((22.0, -62.0, 14.0), (33.0, 33.0, 104.5)))
BODY_MM = (136.0, 182.0)  # semi-axes (y, x)
AIR, FAT, MUSCLE, LIVER, VESSEL, BONE = -1000, -100, 45, 105, 165, 350  # HU
NOISE = 8.0  # HU; with it int16 volumes compress about 2.2 to 1


@dataclass(frozen=True)
class Grid:
    """Voxels and mm per voxel, (z, y, x)."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]

    @property
    def unit(self) -> float:
        """Edge in mm of the cube that has the volume of a voxel: what published sizes in voxels are on this grid."""
        return float(np.prod(self.spacing)) ** (1 / 3)


GRIDS = {
    "A": Grid((96, 192, 192), (2.0, 2.0, 2.0)),
    "B": Grid((128, 256, 256), (1.5, 1.5, 1.5)),
    "C": Grid((128, 512, 512), (1.5, 0.77, 0.77)),
    "tiny": Grid((32, 64, 64), (6.0, 6.0, 6.0)),  # for tests
}


@dataclass(frozen=True)
class Canvas:
    """One volume with its organ."""

    name: str
    grid: Grid
    image: np.ndarray  # int16 HU (z, y, x)
    label: np.ndarray  # uint8: 1 in the organ, 2 in its tumors

    @property
    def affine(self) -> np.ndarray:
        """NIfTI affine: (x, y, z) index to RAS mm."""
        return np.diag([*(-self.grid.spacing[2], -self.grid.spacing[1], self.grid.spacing[0]), 1.0])


@dataclass(frozen=True)
class CanvasFiles:
    """Where a canvas lies."""

    row: dict  # of a fold table; its paths are the arrays of the store
    nifti_image: Path
    nifti_label: Path

    def write(self, path: Path) -> None:
        """Write down where it lies, for other processes."""
        path.write_text(json.dumps([self.row, str(self.nifti_image), str(self.nifti_label)]))

    @classmethod
    def read(cls, path: Path) -> "CanvasFiles":
        """What :meth:`write` wrote."""
        row, *files = json.loads(path.read_text())
        return cls(row, *map(Path, files))


def make_canvas(name: str, seed: int = 1) -> Canvas:
    """Draw canvas ``name``, a key of ``GRIDS``; a pure function of name and seed."""
    grid = GRIDS[name]
    rng = generator(seed, "benchmark", "anatomy")  # the same patient on every grid
    z, y, x = (
        (np.arange(n, dtype=np.float32) - (n - 1) / 2) * np.float32(s) for n, s in zip(grid.shape, grid.spacing, strict=True)
    )
    image, label = np.empty(grid.shape, np.int16), np.zeros(grid.shape, np.uint8)
    plane = np.broadcast_arrays(y[:, None], x[None, :])
    edge = np.hypot(plane[0] / BODY_MM[0], plane[1] / BODY_MM[1])
    body = np.select([edge > 1, edge > 0.9], [AIR, FAT], MUSCLE).astype(np.float32)
    body[np.hypot(plane[0] - 85, plane[1]) < 18] = BONE
    organ, vessel = _Liver(rng), (_waves(rng, 65, 5), _waves(rng, 65, 5))
    rng = generator(seed, "benchmark", "noise", name)
    for index, height in enumerate(z):
        clean = body.copy()
        inside = organ.contains(height, *plane)
        label[index][inside] = 1
        near = [part[inside] for part in plane]
        tube = sum(wave(np.float32(height), *near) ** 2 for wave in vessel) < 0.06
        clean[inside] = np.where(tube, VESSEL, LIVER)
        clean += np.float32(NOISE) * rng.standard_normal(clean.shape, dtype=np.float32)
        image[index] = np.rint(np.maximum(clean, -1024))
    return Canvas(name, grid, image, label)


class _Liver:
    """The two lobes under a smooth random displacement, stretched so that the organ fills its bounding box."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.shifts = [_waves(rng, 110, 6) for _ in range(3)]
        self.low, self.high = -np.array(LIVER_MM) / 2, np.array(LIVER_MM) / 2
        nodes = [np.arange(-side / 2 - 16, side / 2 + 16, 2, dtype=np.float32) for side in LIVER_MM]
        found = np.nonzero(self._raw(*np.meshgrid(*nodes, indexing="ij", sparse=True)))
        self.low, self.high = (
            np.array([steps[end(index)] for steps, index in zip(nodes, found, strict=True)]) for end in (np.min, np.max)
        )

    def contains(self, z: float, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Whether points, in mm from the middle of the bounding box, lie in the organ."""
        scale = (self.high - self.low) / LIVER_MM
        middle = (self.high + self.low) / 2
        return self._raw(*(np.float32(m) + np.float32(s) * p for p, m, s in zip((z, y, x), middle, scale, strict=True)))

    def _raw(self, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        moved = [part + np.float32(4) * wave(z, y, x) for part, wave in zip((z, y, x), self.shifts, strict=True)]
        lobes = (
            sum(((p - np.float32(c)) / np.float32(r)) ** 2 for p, c, r in zip(moved, center, radii, strict=True)) < 1
            for center, radii in LOBES
        )
        return np.logical_or(*lobes)


def _waves(rng: np.random.Generator, wavelength: float, terms: int) -> Callable[..., np.ndarray]:
    """A smooth random function of (z, y, x) in mm with unit variance: a sum of plane waves."""
    direction = rng.standard_normal((terms, 3))
    vectors = (2 * np.pi / wavelength * direction / np.linalg.norm(direction, axis=1, keepdims=True)).astype(np.float32)
    phases = rng.uniform(0, 2 * np.pi, terms).astype(np.float32)

    def evaluate(z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        total = sum(np.cos(a * z + b * y + c * x + phase) for (a, b, c), phase in zip(vectors, phases, strict=True))
        return total * np.float32(np.sqrt(2 / terms))

    return evaluate


def write_canvas(canvas: Canvas, folder: Path, part: str = "pool") -> CanvasFiles:
    """Write a canvas as a preprocessed volume of the store, with its table of sites, and as a pair of ``.nii.gz``.

    Args:
        canvas: the volume.
        folder: where to.
        part: of the fold; ``train`` for a donor of lesions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    case_id = f"{part}-{canvas.name}"
    paths = {key: folder / f"{case_id}.{key}.b2nd" for key in ("image", "label")}
    write_array(paths["image"], canvas.image)
    write_array(paths["label"], canvas.label)
    sites = folder / f"{case_id}.sites.npz"
    write_sites(sites, find_sites(canvas.label, NAMES, case_id, canvas.grid.spacing, canvas.image))
    files = {key: folder / f"{case_id}_{key}.nii.gz" for key in ("image", "label")}
    for key, array in (("image", canvas.image), ("label", canvas.label)):
        nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), canvas.affine), files[key])
    row = {
        "case_id": case_id,
        "patient_id": case_id,
        "source": "benchmark",
        "domain": "benchmark",
        "labeled": part == "train",
        "category": "",
        **{key: str(path) for key, path in paths.items()},
        "native": str(paths["label"]),
        "sites": str(sites),
        "names": json.dumps({str(code): name for code, name in NAMES.items()}),
        "shape": json.dumps(canvas.grid.shape),
        "spacing": json.dumps(canvas.grid.spacing),
        "native_shape": json.dumps(canvas.grid.shape),
        "native_spacing": json.dumps(canvas.grid.spacing),
        "crop": json.dumps([[0, n] for n in canvas.grid.shape]),
        "affine": json.dumps(canvas.affine.tolist()),
        "organs": "liver",
        "tumors": "liver_tumor" if (canvas.label == 2).any() else "",
        "tumor_ml": 0.0,
        "diameter_mm": float("nan"),
        "voxel_hash": hashlib.sha256(canvas.image.tobytes()).hexdigest(),
        "notes": "",
        "split": "development" if part == "train" else "pool",
        "fold": -1,
        "excluded_because": "",
        "part": part,
    }
    return CanvasFiles(row, files["image"], files["label"])
