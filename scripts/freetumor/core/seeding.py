"""Randomness as a pure function of names: no global state is read or written.

A draw belongs to a key such as ``(study seed, stage, case id, draw index, epoch)``. Results therefore do not depend on the
number of shards, workers or cores, nor on interruptions.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(*key: str | int) -> int:
    """Hash a key to a 63-bit seed.

    The parts are length-prefixed and typed, so ``("a", "bc")``, ``("ab", "c")`` and ``("1",)``, ``(1,)`` all differ.

    Raises:
        TypeError: if a part is neither text nor an integer.
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in key:
        if isinstance(part, bool) or not isinstance(part, str | int | np.integer):
            raise TypeError(f"a seed key holds text and integers, not {type(part).__name__}")
        text = (f"s{part}" if isinstance(part, str) else f"i{int(part)}").encode()
        digest.update(len(text).to_bytes(4, "little") + text)
    return int.from_bytes(digest.digest(), "little") >> 1


def generator(*key: str | int) -> np.random.Generator:
    """A NumPy generator that belongs to ``key``."""
    return np.random.Generator(np.random.PCG64(derive_seed(*key)))


def torch_generator(*key: str | int) -> "torch.Generator":
    """A torch CPU generator that belongs to ``key``."""
    import torch

    return torch.Generator().manual_seed(derive_seed(*key))


def shard_of(case_id: str, shards: int) -> int:
    """The shard of a case: a hash of its id alone, so that adding cases moves none of the others."""
    return derive_seed("shard", case_id) % shards
