"""The benchmark runs, and its ratios are what its samples say."""

import itertools
import json
import math
import re

import pytest

from benchmarks import library, measure, report
from benchmarks.command import main
from benchmarks.measure import Sample, Stages

RATIO = re.compile(r"ratio (\w+) (\d[\d.e+-]*)")


def test_the_last_lines_are_ratios(capsys, tmp_path):
    names = [library.PROCEDURAL, library.COPY_PASTE]
    output = tmp_path / "out.json"
    found = main("", ["--quick", "--volumes", "tiny", "--synthesizers", *names, "--json", str(output)])
    lines = capsys.readouterr().out.strip().splitlines()
    ratios = dict(RATIO.fullmatch(line).groups() for line in lines[-len(found) :])
    assert ratios.keys() == found.keys() >= {"procedural_tiny", "bank_tiny", "nifti_tiny", "floor_share"}
    assert not any(line.startswith("ratio") for line in lines[: -len(found)])
    assert all(found[name] > 0 and float(value) == pytest.approx(found[name], rel=1e-3) for name, value in ratios.items())
    samples = json.loads(output.read_text())["samples"]
    assert {sample["section"] for sample in samples} >= {f"bank_{name}" for name in names}
    assert all(sample["painted"] > 0 for sample in samples if sample["side"] == "library" and sample["kind"] == "tiny")


def test_unknown_volumes_are_refused(capsys):
    with pytest.raises(SystemExit):
        main("", ["--volumes", "D"])
    assert "invalid choice: 'D'" in capsys.readouterr().err


def samples_of(section, side, kinds, volume="B"):
    return [
        Sample(section, side, volume, kind, repeat, seconds, wanted=2, painted=2)
        for kind, times in kinds.items()
        for repeat, seconds in enumerate(times)
    ]


def test_a_ratio_compares_medians_of_repetitions_and_means_of_kinds():
    samples = [
        *samples_of("procedural", "reference", {"tiny": [1, 2, 90], "large": [8, 8, 8]}),
        *samples_of("procedural", "library", {"tiny": [0.1, 0.1, 0.1], "large": [0.4, 0.0, 9.0]}),
    ]
    found = report.ratios(samples)
    assert found == {"procedural_B": pytest.approx((2 + 8) / (0.1 + 0.4))}
    assert report.lesion_cost(samples, ("procedural", "library"), kind="tiny") == pytest.approx(0.05)


def test_what_was_not_timed_has_no_ratio():
    assert report.ratios([]) == {}
    assert math.isnan(report.cost([], ("procedural", "library")))


def test_the_share_of_the_floor_is_that_of_the_volume_b():
    samples = [
        sample
        for volume, floor in (("A", 0.1), ("B", 0.3))
        for sample in (
            *samples_of(report.BANK, "floor", {"tiny": [floor]}, volume),
            *samples_of(report.BANK, "library", {"tiny": [0.6]}, volume),
        )
    ]
    assert report.ratios(samples)["floor_share"] == pytest.approx(0.5)


def test_a_stage_does_not_count_the_stages_that_it_calls(monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(measure.time, "process_time", lambda: float(next(clock)))

    class Parts:
        def outer(self) -> str:
            return self.inner() + self.inner()

        def inner(self) -> str:
            return "x"

    parts, stages = Parts(), Stages()
    with stages.watch((parts, "outer", "shape"), (parts, "inner", "texture")):
        assert parts.outer() == "xx"
    assert parts.outer() == "xx"
    assert stages.seconds == {"shape": 3.0, "texture": 2.0}  # every look at the clock is a second


def test_tables_are_aligned():
    lines = report.table([["a", 1], ["longer", 22]], ["", "n"]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[-1] == "longer  22"
