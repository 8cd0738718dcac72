"""Progress says how fast and how long, in plain lines."""

import io

import pytest

from freetumor.core import progress
from freetumor.core.progress import Progress, format_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (75.2, "1 min 15 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (90061, "25 h 01 min"),
    ],
)
def test_durations_read_as_a_person_says_them(seconds, text):
    assert format_duration(seconds) == text


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


def test_a_line_tells_count_rate_and_remaining_time(clock):
    stream = io.StringIO()
    bar = Progress("train real", 100, "step", interval=5, stream=stream)
    for _ in range(9):
        clock.now += 1
        bar.advance()
    assert stream.getvalue().splitlines() == ["train real: 5/100 steps, 1 steps/s, 1 min 35 s left"]
    clock.now += 1
    bar.advance(note="loss 0.500")
    assert stream.getvalue().splitlines()[1] == "train real: 10/100 steps, 1 steps/s, 1 min 30 s left, loss 0.500"


def test_the_last_item_always_prints_a_line(clock):
    stream = io.StringIO()
    bar = Progress("shard 0", 2, "lesion", interval=1000, stream=stream)
    bar.advance()
    clock.now += 4
    bar.advance()
    assert stream.getvalue() == "shard 0: 2/2 lesions, 0.5 lesions/s, finished in 4 s\n"


def test_steps_of_an_earlier_run_do_not_count_toward_the_rate(clock):
    stream = io.StringIO()
    bar = Progress("train", 100, "step", done=90, interval=0, stream=stream)
    clock.now += 2
    bar.advance()
    assert stream.getvalue() == "train: 91/100 steps, 0.5 steps/s, 18 s left\n"
