"""Tables keep their schema, their empty texts and missing numbers, and their bytes."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freetumor.core import tables
from freetumor.core.errors import UserError
from freetumor.core.tables import FLAG, INTEGER, NUMBER, TEXT, Schema, make_table, read_table, write_table

SCHEMA = Schema("things", {"name": TEXT, "count": INTEGER, "share": NUMBER, "known": FLAG})
ROWS = [
    {"name": "", "count": -3, "share": math.nan, "known": True},
    {"name": "007", "count": 2**62, "share": 0.1, "known": False},
    {"name": 'a "b", c\nd\te', "count": 0, "share": math.inf, "known": True},
    {"name": "nan", "count": 1, "share": -1e-300, "known": False},
    {"name": "NA", "count": 1, "share": 0.1 + 0.2, "known": False},
]
SUFFIXES = [".parquet", ".csv", ".tsv"]
TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=12)


def same(a, b):
    return a.to_dict("list").keys() == b.to_dict("list").keys() and all(
        len(a) == len(b) and all(x == y or (x != x and y != y) for x, y in zip(a[name], b[name], strict=True)) for name in a
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read(tmp_path, suffix):
    path = tmp_path / f"table{suffix}"
    write_table(pd.DataFrame(ROWS), path, SCHEMA)
    frame = read_table(path, SCHEMA)
    assert same(frame, pd.DataFrame(ROWS))
    assert [str(kind) for kind in frame.dtypes] == ["str", "int64", "float64", "bool"]
    assert frame["name"][0] == ""
    assert math.isnan(frame["share"][0])


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(names=st.lists(TEXTS, max_size=5), share=st.floats(allow_nan=False))
def test_any_printable_text_and_number_round_trips(tmp_path_factory, suffix, names, share):
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    frame = make_table(({"name": name, "count": 1, "share": share, "known": True} for name in names), SCHEMA)
    write_table(frame, path, SCHEMA)
    assert same(read_table(path, SCHEMA), frame)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_table_keeps_its_columns_and_types(tmp_path, suffix):
    path = tmp_path / f"table{suffix}"
    write_table(make_table([], SCHEMA), path, SCHEMA)
    frame = read_table(path, SCHEMA)
    assert len(frame) == 0
    assert [str(kind) for kind in frame.dtypes] == ["str", "int64", "float64", "bool"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_table_has_the_same_bytes(tmp_path, suffix):
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    write_table(pd.DataFrame(ROWS), paths[0], SCHEMA)
    shuffled = pd.DataFrame(ROWS)[["known", "share", "name", "count"]].iloc[::-1].iloc[::-1]
    write_table(shuffled, paths[1], SCHEMA)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_missing_and_undeclared_columns_are_refused():
    with pytest.raises(ValueError, match="columns missing: share, known"):
        make_table([{"name": "a", "count": 1}], SCHEMA)
    with pytest.raises(ValueError, match="columns not declared: color"):
        make_table([{**ROWS[0], "color": "red"}], SCHEMA)
    opened = Schema("open", SCHEMA.columns, open=True)
    assert list(make_table([{"color": "red", **ROWS[0]}], opened)) == ["name", "count", "share", "known", "color"]


@pytest.mark.parametrize(
    ("line", "word"),
    [("a,many,0.5,True", "invalid literal"), ("a,1,half,True", "half"), ("a,1,0.5,perhaps", "known"), ("a,,0.5,True", "''")],
)
def test_a_value_of_another_type_is_one_line_that_names_the_file(tmp_path, line, word):
    path = tmp_path / "table.csv"
    path.write_text(f"name,count,share,known\n{line}\n")
    with pytest.raises(UserError) as caught:
        read_table(path, SCHEMA)
    assert str(path) in str(caught.value)
    assert word in str(caught.value)


def test_flags_are_read_from_true_false_and_from_one_zero(tmp_path):
    path = tmp_path / "table.csv"
    for text in ("True False", "true false", "TRUE FALSE", "1 0"):
        yes, no = text.split()
        path.write_text(f"name,count,share,known\na,1,1,{yes}\nb,1,1,{no}\n")
        assert read_table(path, SCHEMA)["known"].tolist() == [True, False]


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"PAR1 not really PAR1"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_damaged_or_missing_table_is_a_user_error(tmp_path, suffix, content):
    path = tmp_path / f"table{suffix}"
    with pytest.raises(UserError, match="table not found"):
        read_table(path, SCHEMA)
    path.write_bytes(content)
    with pytest.raises(UserError, match=str(path)):
        read_table(path, SCHEMA)


def test_only_known_formats_are_written(tmp_path):
    with pytest.raises(ValueError, match="ends in"):
        write_table(pd.DataFrame(ROWS), tmp_path / "table.xlsx")
    assert not list(tmp_path.iterdir())


def test_every_declared_schema_names_known_types():
    schemas = [value for value in vars(tables).values() if isinstance(value, Schema)]
    assert len(schemas) >= 10
    for schema in schemas:
        assert set(schema.columns.values()) <= {TEXT, INTEGER, NUMBER, FLAG}
        empty = make_table([], schema)
        assert all(np.dtype(kind) == empty[name].dtype for name, kind in schema.columns.items() if kind != TEXT)
