"""Epochs show every sample once, in an order that further samples do not change."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freetumor.core.epochs import batch_samples, epoch_order


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5))
def test_what_two_arms_share_comes_in_the_same_order(fewer, more, epoch):
    small, large = (epoch_order(("key",), epoch, samples) for samples in (fewer, fewer + more))
    assert large[large < fewer].tolist() == small.tolist()
    assert sorted(large) == list(range(fewer + more))


@given(st.integers(1, 30), st.integers(1, 12))
def test_every_sample_is_seen_once_per_epoch(samples, batch):
    epochs, steps = 4, -(-4 * samples // batch)
    seen = np.concatenate([batch_samples(("key",), step, batch, samples) for step in range(1, steps + 1)])
    for epoch in range(epochs):
        assert sorted(seen[epoch * samples : (epoch + 1) * samples]) == list(range(samples))


def test_a_batch_depends_on_key_and_step_alone():
    first = [batch_samples((1, "a"), step, 8, 30).tolist() for step in (1, 2, 9)]
    assert [batch_samples((1, "a"), step, 8, 30).tolist() for step in (9, 2, 1)] == first[::-1]
    assert batch_samples((2, "a"), 1, 8, 30).tolist() != first[0]
    assert first[0] != first[1]
