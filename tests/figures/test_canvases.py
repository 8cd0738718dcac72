"""The page of painted canvases: one line per organ that has a painter, and numbers that say what painting did."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.core.tables import FOLD_CASES, VOLUMES, read_table, write_table
from freetumor.figures.canvases import PER_LINE, measure, plot_canvases
from tests.factory import make_fold, small_config

OWN = {name: {"painter": {"kind": "constant"}} for name in ("liver", "pancreas")}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Four prepared volumes, of which one has no tumor."""
    folder = tmp_path_factory.mktemp("volumes")
    cases = read_table(make_fold(folder, train=1, validation=0, test=2, pool=1), FOLD_CASES)
    write_table(cases.assign(fingerprint="")[list(VOLUMES.columns)], folder / "volumes.parquet", VOLUMES)
    return folder / "volumes.parquet"


def draw(table, output, **synthesizers):
    plot_canvases(small_config(synthesizers=synthesizers, synthesis={}, recognition={"arms": ["real"]}), [table], output)
    return pd.read_csv(output.with_suffix(".csv"))


def test_each_organ_with_a_painter_of_its_own_gets_a_line_over_several_cases(table, tmp_path):
    numbers = draw(table, tmp_path / "a.png", **OWN, constant=OWN["liver"])
    assert numbers["organ"].tolist() == ["liver"] * PER_LINE + ["pancreas"] * PER_LINE
    assert numbers.groupby("organ")["case_id"].nunique().tolist() == [PER_LINE, PER_LINE]
    assert (numbers["changed_outside"] == 0).all()
    assert (numbers["unchanged_inside"] == 0).all()
    assert (numbers["hu_after"] < numbers["hu_before"]).all()


def test_an_organ_may_have_several_painters_named_after_it(table, tmp_path):
    other = OWN["liver"] | {"shape": {"kind": "automaton"}, "painter": {"kind": "states"}}
    numbers = draw(table, tmp_path / "a.png", liver=OWN["liver"], liver_grown=other, liverish=other)
    assert numbers["synthesizer"].tolist() == ["liver"] * PER_LINE + ["liver_grown"] * PER_LINE
    assert set(numbers["organ"]) == {"liver"}


def test_the_files_are_the_same_on_every_run(table, tmp_path):
    for name in ("a", "b"):
        draw(table, tmp_path / f"{name}.png", liver=OWN["liver"])
    for suffix in (".png", ".pdf", ".csv"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_no_painter_named_like_an_organ_is_a_mistake_of_the_user(table, tmp_path):
    with pytest.raises(UserError, match=r"none is named like an organ of the study \(liver, pancreas\)"):
        draw(table, tmp_path / "a.png", constant=OWN["liver"])


def test_a_painter_that_needs_training_is_a_mistake_of_the_user(table, tmp_path):
    with pytest.raises(UserError, match=r"synthesizers\.liver: needs the trained generator"):
        draw(table, tmp_path / "a.png", liver={"painter": {"kind": "difference"}})


def test_volumes_without_the_organ_are_named(table, tmp_path):
    cases = read_table(table, VOLUMES)
    cases["names"] = json.dumps({"1": "spleen"})
    write_table(cases, table.with_name("other.parquet"), VOLUMES)
    with pytest.raises(UserError, match="no canvas offers a place for a lesion in liver"):
        draw(table.with_name("other.parquet"), tmp_path / "a.png", liver=OWN["liver"])


@given(st.integers(0, 1000), st.tuples(*[st.floats(0.5, 5)] * 3))
def test_measured_numbers_equal_a_count_voxel_by_voxel(seed, spacing):
    rng = generator("test", seed)
    before = rng.integers(-100, 100, (4, 5, 6)).astype(np.int16)
    after = (before + rng.integers(-1, 2, before.shape)).astype(np.int16)
    lesion = rng.random(before.shape) < 0.3
    lesion[0, 0, 0] = True
    numbers = measure(before, after, lesion, spacing)
    pairs = [(int(a), int(b), bool(c)) for a, b, c in zip(before.flat, after.flat, lesion.flat, strict=True)]
    inside = [(a, b) for a, b, c in pairs if c]
    assert numbers["changed_outside"] == sum(a != b and not c for a, b, c in pairs)
    assert numbers["unchanged_inside"] == sum(a == b for a, b in inside)
    assert numbers["hu_before"] == pytest.approx(sum(a for a, _ in inside) / len(inside))
    assert numbers["hu_after"] == pytest.approx(sum(b for _, b in inside) / len(inside))
    ball = np.pi / 6 * numbers["diameter_mm"] ** 3
    assert ball == pytest.approx(len(inside) * np.prod(spacing))
