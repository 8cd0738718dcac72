"""Cases made of a label in memory, for tests of what reads a case."""

from collections.abc import Sequence

import numpy as np

from freetumor.core.labels import class_codes
from freetumor.preprocessing.sites import find_sites
from freetumor.preprocessing.store import read_patch
from freetumor.synthesizer.cases import NOWHERE, Patch, Places


class MemoryCase:
    """A case of organs ``liver`` and ``pancreas`` (study codes 1 to 4) that lies in memory."""

    organ_names = ("liver", "pancreas")

    def __init__(self, label: np.ndarray, spacing: Sequence[float] = (2.0, 2.0, 2.0), image: np.ndarray | None = None) -> None:
        names = {code: name for name, code in class_codes(self.organ_names).items()}
        self.label, self.image = label, np.zeros(label.shape, np.int16) if image is None else image
        self.shape, self.spacing, self.case_id = label.shape, tuple(spacing), "memory"
        self.sites = find_sites(label, names, self.case_id, self.spacing, self.image)

    def places(self, organ: int) -> Places:
        """As of a case."""
        name = self.organ_names[organ]
        if name not in self.sites:
            return NOWHERE
        return Places(self.sites[name], self.sites[f"{name}.depth"], self.sites[f"{name}.vessel"])

    def patch(self, corner: Sequence[int], size: Sequence[int]) -> Patch:
        """As of a case."""
        image, label = read_patch(self.image, corner, size, -1024), read_patch(self.label, corner, size, 0)
        return Patch(image, label, tuple(corner), self.spacing, self.case_id, "patient", "source")

    def whole(self) -> Patch:
        """All of it."""
        return self.patch((0, 0, 0), self.shape)
