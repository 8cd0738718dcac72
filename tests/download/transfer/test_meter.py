"""Progress of a transfer: amounts as a person says them, one line every few seconds at most."""

import io

import pytest

from freetumor.core.progress import format_bytes
from freetumor.download.transfer import meter
from freetumor.download.transfer.meter import Meter


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (1234, "1.2 kB"),
        (99_400, "99 kB"),
        (123_456, "123 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (45_600_000_000, "46 GB"),
        (3_210_000_000_000, "3.2 TB"),
        (1_234_000_000_000_000, "1,234 TB"),
    ],
)
def test_amounts_read_as_a_person_says_them(count, text):
    assert format_bytes(count) == text


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

    monkeypatch.setattr(meter.time, "monotonic", lambda: Clock.now)
    return Clock


def test_a_line_tells_files_bytes_rate_and_remaining_time(clock):
    stream = io.StringIO()
    counter = Meter("source", 3, 10_000_000, done=2_000_000, stream=stream)
    for _ in range(9):
        clock.now += 1
        counter.add(200_000)
    assert stream.getvalue().splitlines() == ["source: 0/3 files, 3 MB of 10 MB, 200 kB/s, 35 s left"]
    clock.now += 1
    counter.discard(1_800_000)  # the server could not continue
    counter.finish_file()
    counter.add(0)
    assert stream.getvalue().splitlines()[1] == "source: 1/3 files, 2 MB of 10 MB, 180 kB/s, 44 s left"


def test_without_all_sizes_no_end_is_foretold(clock):
    stream = io.StringIO()
    counter = Meter("source", 2, None, interval=0, stream=stream)
    clock.now += 2
    counter.add(5000)
    assert stream.getvalue() == "source: 0/2 files, 5 kB, 2.5 kB/s\n"


def test_the_last_file_prints_a_line_unless_all_was_short(clock):
    stream = io.StringIO()
    for seconds, interval in ((8, 5), (4, 5)):
        counter = Meter("source", 2, None, interval=interval, stream=stream)
        clock.now += seconds / 2
        counter.add(1000)
        counter.finish_file()
        clock.now += seconds / 2
        counter.finish_file()
    assert stream.getvalue() == "source: 2/2 files, 1 kB, 125 bytes/s, finished in 8 s\n"
