"""Indexing a user's own files: matches, ids, patients, and errors that say what was expected."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freetumor.core.config import FolderSource
from freetumor.core.errors import UserError
from freetumor.download.folder import case_id_of, check_source, check_structures, index_folder

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
MAP = {1: "liver", 2: "liver_tumor"}


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def source(root, **keys):
    keys = {"images": "images/*.nii.gz", "label_map": MAP} | keys
    return FolderSource(name="mine", kind="folder", root=str(root), **keys)


def ids(rows):
    return [row["case_id"] for row in rows]


def test_labels_belong_to_the_image_with_the_same_text_for_the_star(tmp_path):
    touch(tmp_path, "images/p1_0000.nii.gz", "images/p2_0000.nii.gz", "labels/p2.nii.gz", "labels/p3.nii.gz")
    rows = index_folder(source(tmp_path, images="images/*_0000.nii.gz", labels="labels/*.nii.gz", domain="x"))
    assert ids(rows) == ["p1_0000", "p2_0000"]
    assert [row["labeled"] for row in rows] == [False, True]
    assert json.loads(rows[0]["labels"]) == []
    expected = [{"path": f"{tmp_path}/labels/p2.nii.gz", "map": {"1": "liver", "2": "liver_tumor"}}]
    assert json.loads(rows[1]["labels"]) == expected
    assert rows[1]["image"] == f"{tmp_path}/images/p2_0000.nii.gz"
    assert (rows[1]["source"], rows[1]["domain"], rows[1]["patient_id"]) == ("mine", "x", "p2_0000")


def test_hidden_files_and_files_of_other_names_are_left_alone(tmp_path):
    touch(tmp_path, "images/a.nii.gz", "images/._a.nii.gz", "images/readme.txt")
    assert ids(index_folder(source(tmp_path))) == ["a"]


def test_folders_are_dicom_series_and_are_part_of_the_id_where_they_vary(tmp_path):
    touch(tmp_path, "p1/ct/1.dcm", "p1/seg/s.dcm", "p2/ct/1.dcm")
    rows = index_folder(source(tmp_path, images="*/ct", labels="*/seg", patient=r"^(p\d)"))
    assert ids(rows) == ["p1", "p2"]
    assert [row["patient_id"] for row in rows] == ["p1", "p2"]
    assert [row["labeled"] for row in rows] == [True, False]


def test_several_stars_stand_for_several_texts_and_one_star_may_be_repeated(tmp_path):
    touch(tmp_path, "p1/a.nii.gz", "p1/b.nii.gz", "p2/a.nii.gz", "seg/p1/b_seg.nii.gz")
    rows = index_folder(source(tmp_path, images="p*/*.nii.gz", labels="seg/p*/*_seg.nii.gz"))
    assert ids(rows) == ["1-a", "1-b", "2-a"]
    assert [row["labeled"] for row in rows] == [False, True, False]
    touch(tmp_path, "flat/x.nii.gz", "flat/y.nii.gz", "masks/x/x_mask.nii.gz", "masks/x/y_mask.nii.gz")
    rows = index_folder(source(tmp_path, images="flat/*.nii.gz", labels="masks/*/*_mask.nii.gz"))
    assert [row["labeled"] for row in rows] == [True, False]


def test_double_stars_search_all_folders(tmp_path):
    touch(tmp_path, "a/b/one.nii.gz", "two.nii.gz")
    assert ids(index_folder(source(tmp_path, images="**/*.nii.gz"))) == ["a-b-one", "two"]


def test_variables_and_absolute_patterns_are_expanded(tmp_path, monkeypatch):
    touch(tmp_path, "data/images/a.nii.gz", "elsewhere/a.nii.gz")
    monkeypatch.setenv("MY_CT", str(tmp_path / "data"))
    configured = source("$MY_CT", labels=f"{tmp_path}/elsewhere/*.nii.gz")
    check_source(configured)
    (row,) = index_folder(configured)
    assert row["labeled"]
    assert json.loads(row["labels"])[0]["path"] == f"{tmp_path}/elsewhere/a.nii.gz"


def test_organ_masks_alone_do_not_make_a_case_annotated(tmp_path):
    touch(tmp_path, "images/a.nii.gz", "images/b.nii.gz", "organs/a.nii.gz", "organs/b.nii.gz", "tumors/b.nii.gz")
    configured = source(
        tmp_path,
        labels="organs/*.nii.gz",
        label_map={1: "liver"},
        extra_labels=[{"files": "tumors/*.nii.gz", "label_map": {1: "liver_tumor"}}],
    )
    rows = index_folder(configured)
    assert [row["labeled"] for row in rows] == [False, True]
    assert [list(entry["map"].values()) for entry in json.loads(rows[1]["labels"])] == [["liver"], ["liver_tumor"]]
    silent = configured.model_copy(update={"tumors_annotated": False})
    assert not any(row["labeled"] for row in index_folder(silent))


def test_a_csv_names_images_labels_ids_and_patients(tmp_path):
    text = "image,label,case_id,patient_id\nx/1.nrrd,x/1-seg.nrrd,first,p7\nx/2.nrrd,,,\n"
    (tmp_path / "list.csv").write_text(text)
    rows = index_folder(source(tmp_path, images="list.csv"))
    assert [(row["case_id"], row["patient_id"], row["labeled"]) for row in rows] == [
        ("2", "2", False),
        ("first", "p7", True),
    ]
    assert rows[1]["image"] == f"{tmp_path}/x/1.nrrd"


@given(st.text(min_size=1, max_size=120))
def test_every_name_becomes_a_valid_case_id(text):
    assert ID.fullmatch(case_id_of(text))


@given(st.from_regex(ID, fullmatch=True).filter(lambda text: not text.endswith("-")))
def test_a_valid_case_id_stays_as_it_is(text):
    assert case_id_of(text) == text


def test_long_names_that_differ_at_the_end_keep_different_ids():
    assert case_id_of("x" * 80 + "1") != case_id_of("x" * 80 + "2")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"root": "nowhere"}, "sources.mine.root: nowhere is not a folder"),
        ({"root": "$NOT_SET_ANYWHERE/x"}, "is the variable set?"),
        ({"images": "images/*.nrrd"}, r"sources.mine.images: nothing in .* matches 'images/\*.nrrd'"),
        ({"images": "**x"}, "sources.mine.images: .* is not a glob pattern"),
        ({"labels": "masks/*.nii.gz"}, r"sources.mine.labels: nothing in .* matches 'masks/\*.nii.gz'"),
        ({"extra_labels": [{"files": "m/*", "label_map": {1: "liver"}}]}, r"extra_labels\[0\].files: nothing"),
        ({"images": "no.csv"}, "no.csv not found; expected a CSV"),
        ({"images": "bad.csv"}, "bad.csv: column label missing"),
        ({"images": "empty.csv"}, "empty.csv: lists no image"),
        ({"images": "empty.csv", "labels": "labels/*"}, "remove labels and extra_labels"),
    ],
)
def test_what_is_not_there_is_named_before_any_work(tmp_path, keys, message):
    touch(tmp_path, "images/a.nii.gz", "labels/z.nii.gz")
    (tmp_path / "bad.csv").write_text("image,mask\na,b\n")
    (tmp_path / "empty.csv").write_text("image,label\n")
    configured = source(**({"root": tmp_path} | keys))
    for action in (check_source, index_folder):
        with pytest.raises(UserError, match=message):
            action(configured)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"labels": "labels/*.nii.gz"}, "belongs to an image; expected, for images/a.nii.gz, a label file with 'a'"),
        ({"images": "*/*.nii.gz", "labels": "labels/*.nii.gz"}, r"has 1 \*, but images has 2"),
        ({"patient": "("}, "is not a regular expression"),
        ({"patient": "a"}, "has no group"),
        ({"patient": r"(\d+)"}, "finds no patient in images/a.nii.gz"),
        ({"images": "list.csv", "label_map": {}}, "label_map: expected what the numbers in m.nrrd mean"),
        ({"images": "twice.csv"}, "a/x.nii and .*b/x.nii both give the case id 'x'"),
    ],
)
def test_what_does_not_fit_together_is_named(tmp_path, keys, message):
    touch(tmp_path, "images/a.nii.gz", "labels/z.nii.gz")
    (tmp_path / "list.csv").write_text("image,label\nq.nrrd,m.nrrd\n")
    (tmp_path / "twice.csv").write_text("image,label\na/x.nii,\nb/x.nii,\n")
    with pytest.raises(UserError, match=message):
        index_folder(source(tmp_path, **keys))


def test_two_files_that_give_one_id_are_refused(tmp_path):
    touch(tmp_path, "images/a b.nii.gz", "images/a-b.nii.gz")
    with pytest.raises(UserError, match="both give the case id 'a-b'"):
        index_folder(source(tmp_path))


@pytest.mark.parametrize(
    ("label_map", "message"),
    [
        ({}, "label_map: expected the numbers in the label files"),
        ({1: "liver", 2: "liver_tumour"}, "label_map.2: 'liver_tumour' .* did you mean 'liver_tumor'"),
        ({1: "Liver!"}, "label_map.1: 'Liver!' is not the name of a structure"),
    ],
)
def test_a_label_map_must_name_structures(tmp_path, label_map, message):
    configured = source(tmp_path, labels="labels/*.nii.gz").model_copy(update={"label_map": label_map})
    with pytest.raises(UserError, match=message):
        check_structures(configured, ["liver", "kidney"])


def test_structures_that_the_study_does_not_use_are_allowed(tmp_path):
    check_structures(source(tmp_path, labels="l/*", label_map={1: "spleen", 2: "liver_tumor"}), ["liver"])
    check_structures(source(tmp_path, label_map={}), ["liver"])  # no label files, nothing to say about them
