"""The contact sheet shows what it says: the right planes, the right way up, of cases chosen by their ids alone."""

import numpy as np
import pandas as pd
import pytest

from freetumor.core.errors import UserError
from freetumor.core.tables import FOLD_CASES, VOLUMES, make_table, read_table, write_table
from freetumor.figures.contact_sheet import (
    choose,
    describe,
    find_center,
    find_focus,
    look,
    plot_contact_sheet,
    structure_colors,
)
from freetumor.preprocessing.store import read_array, write_array
from tests.factory import SPACING, make_fold, small_config


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Four prepared volumes, of which one has no tumor."""
    folder = tmp_path_factory.mktemp("volumes")
    cases = read_table(make_fold(folder, train=1, validation=0, test=2, pool=1), FOLD_CASES)
    write_table(cases.assign(fingerprint="")[list(VOLUMES.columns)], folder / "volumes.parquet", VOLUMES)
    return folder / "volumes.parquet"


def rows_of(table):
    return read_table(table, VOLUMES).to_dict("records")


def test_the_planes_cross_in_the_largest_tumor_and_stand_upright(table):
    row = rows_of(table)[0]
    image, label = read_array(row["image"]), read_array(row["label"])
    shown = look(row, table, ["liver", "pancreas"])
    z, y, x = shown.center
    sizes = {"liver_tumor": (label == 2).sum(), "pancreas_tumor": (label == 4).sum()}
    assert shown.focus == max(sizes, key=sizes.get)
    assert label[z, y, x] == {"liver_tumor": 2, "pancreas_tumor": 4}[shown.focus]
    np.testing.assert_array_equal(shown.images[0], image[z])
    np.testing.assert_array_equal(shown.images[1], image[::-1, y])  # superior above
    np.testing.assert_array_equal(shown.images[2], image[::-1, :, x])
    np.testing.assert_array_equal(shown.labels[1], label[::-1, y])
    depth, height, width = SPACING
    assert shown.spacings == ((height, width), (depth, width), (depth, height))


def test_tumors_come_before_organs_and_those_of_the_study_before_others():
    names = {1: "liver", 2: "liver_tumor", 3: "spleen", 4: "spleen_tumor"}
    label = np.zeros((3, 10, 10), np.uint8)
    assert find_focus(label, names, ["liver"]) == 0
    label[0, :5], label[0, 5:] = 3, 1
    label[1, 0] = 1
    assert find_focus(label, names, ["spleen"]) == 3
    assert find_focus(label, names, ["liver"]) == 1
    label[2, :4] = 4
    assert find_focus(label, names, ["liver"]) == 4
    label[2, 9, 9] = 2
    assert find_focus(label, names, ["liver"]) == 2


def test_the_center_lies_in_the_mask_even_if_it_is_hollow():
    mask = np.zeros((4, 21, 21), bool)
    mask[1, 4:17, 4:17] = True
    mask[1, 6:15, 6:15] = False
    mask[2, 10, 10] = True
    assert find_center(mask)[0] == 1
    assert mask[find_center(mask)]


def test_cases_are_chosen_by_their_ids_alone():
    rows = [{"case_id": f"case-{number}"} for number in range(40)]
    chosen = choose(rows, 6)
    assert choose(rows[::-1], 6) == chosen
    assert len(chosen) == 6
    assert chosen != rows[:6]
    assert len([row for row in choose(rows[:-1], 6) if row in chosen]) >= 5


def test_the_sheet_is_drawn_with_its_numbers_and_the_same_on_every_run(table, tmp_path):
    for name in ("a", "b"):
        plot_contact_sheet(small_config(), table, tmp_path / f"{name}.png", 2)
    for suffix in (".png", ".pdf", ".csv", ".md"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    numbers = pd.read_csv(tmp_path / "a.csv")
    assert numbers["case_id"].tolist() == [row["case_id"] for row in choose(rows_of(table), 2)]
    assert "2 of 4 checked volumes" in (tmp_path / "a.md").read_text()


def test_a_case_says_what_is_known_of_its_tumors(table):
    row = rows_of(table)[0] | {"notes": "padding_clipped,tumor_apart", "tumor_ml": 12.34}
    said = [
        describe(look(row | changes, table, ["liver"])) for changes in ({}, {"tumors": ""}, {"tumors": "", "labeled": False})
    ]
    assert [first.split("   ")[1].split(", planes")[0] for first, _ in said] == [
        "tumors 12.3 mL",
        "annotated, no tumor",
        "tumors not annotated",
    ]
    assert said[0][1].endswith("; notes: padding_clipped, tumor_apart")


def test_unlabeled_volumes_and_single_slices_are_shown_as_well(table, tmp_path):
    row, rows = rows_of(table)[0], []
    for name, shape in (("plain", (8, 9, 10)), ("slice", (1, 30, 30))):
        write_array(tmp_path / f"{name}.b2nd", np.zeros(shape, np.int16))
        write_array(tmp_path / f"{name}-label.b2nd", np.zeros(shape, np.uint8))
        paths = {"image": str(tmp_path / f"{name}.b2nd"), "label": str(tmp_path / f"{name}-label.b2nd")}
        rows.append(row | paths | {"case_id": name, "tumors": ""})
    write_table(make_table(rows, VOLUMES), tmp_path / "volumes.parquet", VOLUMES)
    plot_contact_sheet(small_config(), tmp_path / "volumes.parquet", tmp_path / "sheet.png")
    assert pd.read_csv(tmp_path / "sheet.csv", keep_default_na=False)["focus"].tolist() == ["", ""]
    shown = [look(entry, tmp_path / "volumes.parquet", ["liver"]) for entry in rows]
    assert structure_colors(shown) == {}


def test_a_source_without_volumes_is_named(tmp_path):
    write_table(make_table([], VOLUMES), tmp_path / "volumes.parquet", VOLUMES)
    with pytest.raises(UserError, match="no volume to show"):
        plot_contact_sheet(small_config(), tmp_path / "volumes.parquet", tmp_path / "a.png")
