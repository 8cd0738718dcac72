"""Randomness is a pure function of names."""

import hashlib
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from freetumor.core.seeding import derive_seed, generator, shard_of, torch_generator

PARTS = st.one_of(st.text(max_size=8), st.integers(-(2**63), 2**63))


def test_seed_is_the_hash_of_the_typed_length_prefixed_parts():
    message = b"\x05\x00\x00\x00scase" + b"\x03\x00\x00\x00i12" + b"\x03\x00\x00\x00s\xc3\xa9"
    digest = hashlib.blake2b(message, digest_size=8).hexdigest()
    little_endian = int("".join(reversed([digest[i : i + 2] for i in range(0, 16, 2)])), 16)
    assert derive_seed("case", 12, "é") == little_endian // 2


def test_seed_of_a_known_key_never_changes():  # every published number of a study hangs on it
    assert derive_seed(2025, "synthesis", "freetumor", 0, "case-1", 3) == 465771570514723555
    assert generator(2025, "synthesis").integers(0, 1000, 5).tolist() == [974, 854, 572, 251, 161]


@given(st.lists(PARTS, max_size=4), st.lists(PARTS, max_size=4))
def test_two_keys_have_one_seed_only_if_they_are_equal(a, b):
    typed = [[(type(part).__name__, part) for part in key] for key in (a, b)]
    assert (derive_seed(*a) == derive_seed(*b)) == (typed[0] == typed[1])


def test_neighboring_parts_do_not_run_into_each_other():
    keys = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("1",), (1,), (1, 1), (11,), ("i1",), ()]
    assert len({derive_seed(*key) for key in keys}) == len(keys)


def test_numpy_integers_count_as_integers():
    assert derive_seed(np.int64(7)) == derive_seed(7)


@pytest.mark.parametrize("part", [1.0, None, True, b"x", ("a",)])
def test_other_types_are_refused(part):
    with pytest.raises(TypeError, match="text and integers"):
        derive_seed("key", part)


def test_global_state_is_neither_read_nor_written():
    draws = []
    for seed in (0, 1):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the point of the test
        torch.manual_seed(seed)
        before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002
        draws.append((generator("k").random(4).tolist(), torch.rand(4, generator=torch_generator("k")).tolist()))
        after = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002
        assert before == after
    assert draws[0] == draws[1]


def test_shards_are_even_and_depend_on_the_case_alone():
    counts = np.bincount([shard_of(f"case-{index}", 7) for index in range(7000)], minlength=7)
    assert len(counts) == 7
    assert stats.chisquare(counts).pvalue > 0.001
