"""Batches of a set that is gone through in epochs, each in an order of its own.

A batch is a function of the step number alone, so that a resumed training has nothing to restore.
"""

from functools import lru_cache

import numpy as np

from .seeding import generator


@lru_cache(maxsize=8)
def epoch_order(key: tuple[str | int, ...], epoch: int, samples: int) -> np.ndarray:
    """Order in which an epoch goes through the samples; that of the first ones does not depend on how many follow.

    Args:
        key: seed key of the training.
        epoch: its number, from 0.
        samples: size of the set.
    """
    return np.argsort(generator(*key, "epoch", epoch).random(samples), kind="stable")


def batch_samples(key: tuple[str | int, ...], step: int, batch: int, samples: int) -> np.ndarray:
    """Positions (batch,) of the samples of step number ``step``, counted from 1; it may end an epoch and begin the next."""
    places = np.arange((step - 1) * batch, step * batch)
    return np.array([epoch_order(key, int(place // samples), samples)[place % samples] for place in places])
