"""The benchmark of preprocessing runs on a small volume, and prints its ratios last."""

import math

import pytest

pytest.importorskip("monai")


def test_a_small_volume_gives_every_ratio(capsys):
    from benchmarks.preparing import main

    ratios = main("", ["--volumes", "tiny", "--repeat", "1", "--spacing", "6", "6", "6"])
    assert list(ratios) == ["monai_tiny", "monai_alike_tiny", "floor_tiny", "fast_floor_tiny"]
    assert all(math.isfinite(value) and value > 0 for value in ratios.values())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[-4:]] == [["ratio", name] for name in ratios]
