"""The record of what a synthesizer made."""

from dataclasses import dataclass, field

import numpy as np

ACCEPTED, REFUSED, NO_PLACE, EMPTY = "accepted", "refused", "no_place", "empty"


@dataclass(frozen=True)
class SyntheticCase:
    """A painted patch, or a whole image, and its record. Unless accepted, image and label are the canvas's own."""

    image: np.ndarray  # int16 HU (z, y, x)
    label: np.ndarray  # uint8 study codes (z, y, x)
    lesion: np.ndarray  # bool (z, y, x)
    outcome: str
    organ: int  # position in the organs of the study; of a whole image, in its categories
    attempts: int
    score: float
    parameters: dict = field(default_factory=dict)
