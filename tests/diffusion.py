"""A small study with a diffusion painter, and cases in memory with lesions of a known contrast."""

import numpy as np

from freetumor.core.config import Config
from freetumor.core.labels import organ_code, tumor_code
from freetumor.core.seeding import generator
from freetumor.preprocessing.store import read_patch
from freetumor.synthesizer.cases import AIR, Patch
from tests.factory import small_config

SPACING = (3.0, 2.5, 2.5)
TRAINING = {"batch": 2, "validate_every": 2, "checkpoint_every": 1, "warmup": 0, "weight_decay": 0.0}


def diffusion_config(autoencoder: dict | None = None, denoiser: dict | None = None, **changes: object) -> Config:
    """The small study with a diffusion painter called `diffusion`; ``changes`` replace top-level keys."""
    settings = {
        "autoencoder": {"channels": [8], "latent": 2, "training": TRAINING | {"steps": 2}} | (autoencoder or {}),
        "denoiser": {"channels": [8, 8], "timesteps": 8, "training": TRAINING | {"steps": 3}} | (denoiser or {}),
        "margin": 2,
        "early_mm": 12,
        "early_steps": 2,
        "late_steps": 4,
    }
    painter = {"kind": "diffusion", "diffusion": settings}
    raw = {
        "synthesizers": {"diffusion": {"painter": painter}},
        "arms": {"real": {}},
        "synthesis": {"synthesizers": ["diffusion"]},
    }
    recognition = small_config().recognition.model_copy(update={"arms": ["real"]})
    return small_config(**(raw | {"recognition": recognition.model_dump()} | changes))


class MadeCase:
    """A ball of organ at 100 HU in fat at -60, all with noise, with a ball of tumor; stands in for ``cases.Case``."""

    def __init__(self, number: int, contrast: float) -> None:
        rng = generator("made case", number)
        shape, self.case_id, self.organs, self.tumors = (26, 26, 26), f"made-{number}", ["liver"], ["liver"]
        grid = np.stack(np.indices(shape)).astype(float)
        organ = np.linalg.norm(grid - 13, axis=0) < 11
        spot = 13 + rng.uniform(-4, 4, (3, 1, 1, 1))
        tumor = np.linalg.norm(grid - spot, axis=0) < rng.uniform(2.5, 4)
        self.label = np.where(tumor, tumor_code(0), organ * organ_code(0)).astype(np.uint8)
        self.image = np.rint(np.where(organ, 100, -60) + contrast * tumor + rng.normal(0, 10, shape)).astype(np.int16)

    def lesions(self, organ: str) -> np.ndarray:
        """The box of the tumor."""
        places = np.argwhere(self.label == tumor_code(0))
        low, high = places.min(axis=0), places.max(axis=0) + 1
        return np.array([[low[0], high[0], low[1], high[1], low[2], high[2]]]) if organ == "liver" else np.zeros((0, 6), int)

    def random_site(self, structure: str, rng: np.random.Generator) -> np.ndarray:
        """A voxel of the organ or the tumor."""
        places = np.argwhere(self.label == (tumor_code(0) if structure.endswith("tumor") else organ_code(0)))
        return places[rng.integers(len(places))]

    def patch(self, corner: tuple, size: tuple) -> Patch:
        """As ``Case.patch``."""
        image, label = read_patch(self.image, corner, size, AIR), read_patch(self.label, corner, size, 0)
        return Patch(image, label, corner, SPACING, self.case_id, "patient", "made")
