"""Cases made of a label in memory, for tests of what reads a case."""

from collections.abc import Sequence

import numpy as np

from freetumor.synthesizer.cases import ArrayCase


class MemoryCase(ArrayCase):
    """A case of the organs ``liver`` and ``pancreas`` (study codes 1 to 4), of zero HU if no image is given."""

    def __init__(self, label: np.ndarray, spacing: Sequence[float] = (2.0, 2.0, 2.0), image: np.ndarray | None = None) -> None:
        image = np.zeros(label.shape, np.int16) if image is None else image
        super().__init__(image, label, spacing, ("liver", "pancreas"), "memory")
