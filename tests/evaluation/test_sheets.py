"""Sheets of pictures: chosen by rule, the same bytes on every run, and whole."""

import numpy as np
import pandas as pd
import pytest

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.tables import CASES, FOLD_CASES, MANIFEST, SCORES, TEXT, Schema, make_table, read_table
from freetumor.evaluation.sheets import cohort, failures, lesions
from freetumor.evaluation.sheets.archive import Sheet, read_sheet, write_sheet
from freetumor.evaluation.sheets.slices import locate
from freetumor.evaluation.sheets.tables import FAILURE_PICTURES, FAILURE_SHEET
from freetumor.preprocessing.store import open_array
from tests.figures.made_config import Study
from tests.figures.made_study import make_study

NAMES = Schema("names", {"name": TEXT})


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    """The made-up study of the figures."""
    return make_study(tmp_path_factory.mktemp("study"))


def sheet(*shapes) -> Sheet:
    pictures = [np.full(shape, number, np.int16) for number, shape in enumerate(shapes)]
    return Sheet(make_table([{"name": f"row{number}"} for number in range(len(shapes))], NAMES), {"image": pictures})


def test_a_sheet_comes_back_as_it_was_with_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_sheet(tmp_path / f"{name}.csv", sheet((3, 4), (5, 2)), NAMES)
    for suffix in (".csv", ".npz"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    found = read_sheet(tmp_path / "a.csv", NAMES, ["image"])
    assert [picture.shape for picture in found.pictures["image"]] == [(3, 4), (5, 2)]
    assert found.pictures["image"][1].tolist() == np.ones((5, 2)).tolist()


def test_a_sheet_without_rows_can_be_kept(tmp_path):
    write_sheet(tmp_path / "a.csv", sheet(), NAMES)
    assert read_sheet(tmp_path / "a.csv", NAMES, ["image"]).table.empty


def test_a_picture_without_a_row_is_refused(tmp_path):
    wrong = Sheet(sheet((1, 1)).table, {"image": []})
    with pytest.raises(ValueError, match="1 rows, but not as many pictures 'image'"):
        write_sheet(tmp_path / "a.csv", wrong, NAMES)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "pictures not found"),
        (lambda path: path.write_bytes(b"PK nothing"), "expected an archive of arrays"),
        (lambda path: np.savez(path, other=np.zeros(1)), "a picture of .* is missing: image.0"),
        (lambda path: np.savez(path, **{"image.0": np.array([{}], dtype=object)}), "expected an archive of arrays"),  # a pickle
    ],
)
def test_a_damaged_sheet_is_one_line(tmp_path, damage, words):
    write_sheet(tmp_path / "a.csv", sheet((2, 2)), NAMES)
    damage(tmp_path / "a.npz")
    with pytest.raises(UserError, match=words):
        read_sheet(tmp_path / "a.csv", NAMES, ["image"])


def test_the_example_slice_shows_the_largest_tumor(study):
    cases = read_table(study.paths["cases"], CASES)
    for case in cohort.example_cases(study.config, cases):
        label = open_array(locate(case["label"], study.paths["cases"]))[...]
        level = cohort.slice_to_show(case, study.paths["cases"], label)
        voxels = {code: (label == code).sum() for code in (2, 4, 6)}
        assert (label[level] == max(voxels, key=voxels.get)).any()


def test_labels_of_a_sheet_have_the_codes_of_the_study(study):
    case = {"names": '{"7": "kidney_tumor", "3": "liver", "9": "spleen"}'}
    found = cohort.study_codes(case, np.array([[0, 7], [3, 9]], np.uint8), study.config)
    codes = {name: 2 * index + 1 for index, name in enumerate(study.config.organs)}
    assert found.tolist() == [[0, codes["kidney"] + 1], [codes["liver"], 0]]


def test_examples_cover_organs_and_sizes():
    def example(organ: str, diameter: float) -> lesions.Example:
        return lesions.Example("real", "c", f"{organ}{diameter}", organ, diameter, lambda field: None)

    pool = [example("liver", d) for d in range(10, 90)] + [example("pancreas", d) for d in (5, 6)]
    chosen = lesions.spread_over(pool, 9)
    diameters = [e.diameter_mm for e in chosen]
    assert len({e.lesion_id for e in chosen}) == 9
    assert diameters == sorted(diameters)
    assert sum(e.organ == "pancreas" for e in chosen) == 2
    assert diameters[2] < 20 < 80 < diameters[-1]
    assert lesions.spread_over(pool[::-1], 9) == chosen  # the order of the table does not matter
    assert len(lesions.spread_over(pool, 1000)) == len(pool)


def test_a_picture_shows_the_lesion_in_the_middle_and_nothing_else_changes(study):
    cases = read_table(study.paths["fold_cases"], FOLD_CASES)
    manifest = study.manifests[1]
    row = next(r for r in read_table(manifest, MANIFEST).to_dict("records") if r["outcome"] == "accepted")
    parent = cases.set_index("case_id", drop=False).loc[row["case_id"]].to_dict()
    views = lesions.read_synthetic(parent, study.paths["fold_cases"], row, manifest, field=64.0)
    changed = views.before != views.after
    assert changed.any()
    assert not (changed & ~views.mask).any()
    middle = np.argwhere(views.mask).mean(0) - (np.array(views.mask.shape) - 1) / 2
    assert np.abs(middle).max() < 3  # the slice's own center may lie a little beside the lesion's


def row(case, arm, value, **changes):
    keys = {"case_id": case, "patient_id": case, "source": "s", "split": "development", "fold": 0, "arm": arm, "seed": 1}
    return keys | {"structure": "tumor", "metric": "dice", "value": value} | changes


def test_the_worst_cases_are_those_with_the_lowest_mean_of_all_arms(study):
    rows = [
        row(f"c{number}", arm, 0.1 * number + gain) for number in range(9) for arm, gain in (("real", 0), ("freetumor", 0.05))
    ]
    rows += [row("c8", "real", 0.0, split="validation"), row("c7", "real", 0.0, metric="hd95"), row("c6", "other", 0.0)]
    chosen = failures.worst_cases(study.config, make_table(rows, SCORES))
    assert chosen.drop_duplicates("rank")["case_id"].tolist() == [f"c{number}" for number in range(failures.WORST)]
    assert chosen["cases"].unique().tolist() == [9]
    assert chosen.loc[chosen["case_id"] == "c2", "mean"].tolist() == pytest.approx([0.225, 0.225])


def test_failures_show_the_reference_and_what_was_predicted(study):
    found = read_sheet(study.paths["failures"], FAILURE_SHEET, FAILURE_PICTURES)
    assert found.table["rank"].nunique() == failures.WORST
    assert found.table.groupby("rank")["arm"].apply(list).map(lambda arms: arms == study.config.recognition.arms).all()
    for reference, prediction in zip(found.pictures["reference"], found.pictures["prediction"], strict=True):
        assert reference.any()
        moved = np.zeros_like(reference)
        moved[:, 4:] = reference[:, :-4]
        assert (prediction[:, 4:] == moved[:, 4:]).all()  # every arm of the made-up study finds the tumor 4 voxels off
    again = study.folder / "again.csv"
    predictions = sorted(study.folder.glob("*_[12].parquet"))
    failures.collect_failures(study.config, study.paths["cases"], study.paths["scores"], predictions, again)
    assert again.with_suffix(".npz").read_bytes() == study.paths["failures"].with_suffix(".npz").read_bytes()


def test_a_slice_of_a_native_array_is_brought_to_the_stored_grid():
    native = np.zeros((10, 20, 30), np.uint8)
    native[6:8, 4:8, 10:20] = 1  # the stored volume covers rows 2 to 18 and columns 0 to 30, at half the resolution
    case = {"shape": "[5, 8, 15]", "crop": "[[0, 10], [2, 18], [0, 30]]"}
    stored = failures.stored_slice(native, case, 3)
    expected = np.zeros((8, 15), np.uint8)
    expected[1:3, 5:10] = 1
    assert stored.tolist() == expected.tolist()
    assert not failures.stored_slice(native, case, 4).any()


def test_a_study_without_a_scored_tumor_has_an_empty_gallery(study, tmp_path):
    empty = study.folder / "none.parquet"
    pd.read_parquet(study.paths["scores"]).iloc[:0].to_parquet(empty)
    assert isinstance(study.config, Config)
    failures.collect_failures(study.config, study.paths["cases"], empty, [], tmp_path / "failures.csv")
    assert read_sheet(tmp_path / "failures.csv", FAILURE_SHEET, FAILURE_PICTURES).table.empty
