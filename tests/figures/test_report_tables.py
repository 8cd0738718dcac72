"""Tables that only some studies have: shown as they are, whatever columns they hold, and refused if nobody knows them."""

import re

import pandas as pd
import pytest

from freetumor.core.errors import UserError
from freetumor.figures.report_claims import number, quantity_name
from freetumor.figures.report_tables import frame_table, read_any, tables_sections
from tests.figures.made_config import make_config


def write(folder, name, rows):
    pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)
    return folder / f"{name}.csv"


def froc(quantity, match="one_to_one", operating=True, value=0.5, fp=1.0):
    row = {
        "arm": "real",
        "split": "development",
        "match": match,
        "quantity": quantity,
        "fp_per_scan": fp,
        "operating": operating,
    }
    return row | {"value": value, "ci_low": 0.25, "ci_high": 0.75, "lesions": 12, "interval": "patients", "baseline": "real"}


def text_of(sections):
    return re.sub(r"<[^>]+>", " ", "".join(map(str, sections)))


def test_sections_appear_for_the_tables_that_are_given(tmp_path):
    privacy = write(tmp_path, "privacy", [{"measure": "auc", "value": 0.5}])
    realism = write(tmp_path, "realism", [{"measure": "lesions", "statistic": "auc", "value": 0.7, "note": ""}])
    assert [part.title for part in tables_sections(make_config(), [privacy, realism])] == ["Realism", "Privacy"]
    assert tables_sections(make_config(), []) == []


def test_a_table_that_nobody_knows_is_named(tmp_path):
    with pytest.raises(UserError, match=r"ghosts\.csv: not a table of the report; known are patients, froc"):
        tables_sections(make_config(), [tmp_path / "ghosts.csv"])


def test_a_curve_is_shown_at_its_operating_points_alone(tmp_path):
    rows = [
        froc("sensitivity", value=0.111),
        froc("sensitivity", operating=False, value=0.222),
        froc("sensitivity", match="any_overlap", value=0.333),
        froc("froc_score", operating=False, value=0.444, fp=float("nan")),
    ]
    text = text_of(tables_sections(make_config(), [write(tmp_path, "froc", rows)]))
    assert "0.111" in text and "0.444" in text and "0.222" not in text and "0.333" not in text
    assert "Intervals: patients." in text and "Differences are from real." in text and "0.250 to 0.750" in text


def test_bins_and_single_measures_are_left_to_the_figures(tmp_path):
    errors = {"arm": "real", "kind": "voxel", "bin_low": "", "bin_high": "", "predicted": ""}
    rows = [errors | {"quantity": "ece", "value": 0.123}, errors | {"quantity": "bin", "value": 0.321}]
    measures = {"synthesizer": "x", "measure": "diameter_mm", "value": 0.456, "note": ""}
    realism = [measures | {"statistic": "q50"}, measures | {"statistic": "auc", "value": 0.654}]
    paths = [write(tmp_path, "calibration", rows), write(tmp_path, "realism", realism)]
    text = text_of(tables_sections(make_config(), paths))
    assert "0.123" in text and "0.654" in text and "0.321" not in text and "0.456" not in text


def test_a_column_that_nobody_expected_is_shown(tmp_path):
    path = write(tmp_path, "privacy", [{"measure": "auc", "value": 0.5, "brand_new": 7}])
    text = text_of(tables_sections(make_config(), [path]))
    assert "Brand new" in text and " 7 " in text


def test_numbers_are_found_and_text_stays_text(tmp_path):
    frame = read_any(
        write(tmp_path, "privacy", [{"a": "1.5", "b": "x", "c": "", "d": 1}, {"a": "", "b": "2", "c": "", "d": 2}])
    )
    assert frame["a"].dtype.kind == "f" and frame["d"].dtype.kind == "i"
    assert list(frame["b"]) == ["x", "2"] and frame["c"].isna().all()


def test_limits_that_were_nowhere_measured_are_left_out(tmp_path):
    rows = [{"measure": "auc", "value": "", "ci_low": "", "ci_high": "", "note": "not enough"}]
    text = text_of(tables_sections(make_config(), [write(tmp_path, "privacy", rows)]))
    assert "not enough" in text and "CI" not in text


def test_limits_become_one_column_and_empty_columns_none():
    frame = pd.DataFrame({"value": [0.5], "ci_low": [0.1], "ci_high": [0.9], "note": [""], "n": [1200]})
    text = text_of([frame_table("t", frame, "95 %")])
    assert re.search(r"Value\s+95 % CI\s+N\s", text) and "0.100 to 0.900" in text and "1,200" in text and "Note" not in text


def test_hostile_text_stays_text(tmp_path):
    path = write(tmp_path, "privacy", [{"<b>": "<script>alert(1)</script>", "value": 0.5}])
    whole = "".join(map(str, tables_sections(make_config(), [path])))
    assert "<script" not in whole and "<b>" not in whole.lower()


@pytest.mark.parametrize(
    ("value", "shown"),
    [(6.048e-7, "6.048 × 10⁻⁷"), (0.0511, "0.051"), (161310, "161,310"), (-0.02, "−0.020"), (float("nan"), "–")],
)
def test_published_numbers_read_well(value, shown):
    assert number(value) == shown


def test_quantities_have_names():
    assert quantity_name("difference/dice/liver_tumor/external") == "difference in Dice, liver tumor, external cases"
    assert quantity_name("confusion/cyst/metastasis") == "cyst classified as metastasis"
    assert quantity_name("sensitivity/cyst") == "sensitivity, cyst"
