"""Label files are translated by name, combined so that tumors win, and checked against their image."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freetumor.core.config import Checks
from freetumor.core.errors import UserError
from freetumor.preprocessing.orientation import Volume
from freetumor.preprocessing.quarantine import CaseRefused
from freetumor.preprocessing.structures import read_structures, structure_codes
from tests.preprocessing.samples import AFFINE, make_ct, write_nifti

IMAGE = Volume(make_ct()[0], AFFINE)
CODES = {"kidney": 1, "kidney_tumor": 2, "liver": 3, "liver_tumor": 4}


def combine(tmp_path, *files: tuple[np.ndarray, dict], annotated: bool = True) -> tuple[np.ndarray, list[str]]:
    """Write the label files, and read them together."""
    entries = []
    for number, (array, names) in enumerate(files):
        path = write_nifti(tmp_path / f"label-{number}.nii.gz", array.astype(np.uint8))
        entries.append({"path": str(path), "map": names})
    return read_structures(entries, IMAGE, "ct.nii.gz", CODES, annotated, Checks())


def slab(low: int, high: int, value: int = 1) -> np.ndarray:
    """A label with ``value`` in the columns from ``low`` to ``high``."""
    label = np.zeros(IMAGE.array.shape, np.uint8)
    label[:, :, low:high] = value
    return label


@pytest.mark.parametrize("tumor_first", [False, True])
def test_a_tumor_wins_over_an_organ_whatever_the_order(tmp_path, tumor_first):
    files = [(slab(0, 20), {"1": "liver"}), (slab(10, 15), {"1": "liver_tumor"})]
    label, notes = combine(tmp_path, *(files[::-1] if tumor_first else files))
    assert label[0, 0, [0, 9, 10, 14, 15, 19, 20]].tolist() == [3, 3, 4, 4, 3, 3, 0]
    assert notes == []


def test_later_files_win_among_equals(tmp_path):
    label, _ = combine(tmp_path, (slab(0, 10), {"1": "liver"}), (slab(5, 15), {"1": "kidney"}))
    assert label[0, 0, [4, 5, 9, 14]].tolist() == [3, 1, 1, 1]


def test_without_annotation_a_tumor_is_organ(tmp_path):
    label = slab(0, 10) + slab(3, 5)
    found, _ = combine(tmp_path, (label, {"1": "liver", "2": "liver_tumor"}), annotated=False)
    np.testing.assert_array_equal(found, slab(0, 10, 3))


def test_values_can_be_ignored_by_name_or_by_star(tmp_path):
    label = slab(0, 3, 1) + slab(5, 8, 7) + slab(9, 10, 8)
    found, _ = combine(tmp_path, (label, {"1": "liver", "7": "background", "*": "background"}))
    np.testing.assert_array_equal(found, slab(0, 3, 3))
    with pytest.raises(CaseRefused, match="value 7"):
        combine(tmp_path, (label, {"1": "liver"}))


def test_an_empty_tumor_file_means_tumor_free(tmp_path):
    label, notes = combine(tmp_path, (slab(0, 0), {"1": "liver_tumor"}))
    assert not label.any()
    assert notes == []
    with pytest.raises(CaseRefused, match="label_empty"):
        combine(tmp_path, (slab(0, 0), {"1": "liver_tumor", "2": "liver"}))


def test_a_tumor_far_from_its_organ_is_noted(tmp_path):
    names = {"1": "liver", "2": "liver_tumor"}
    assert combine(tmp_path, (slab(0, 8) + slab(20, 25, 2), names))[1] == ["tumor_apart"]
    assert combine(tmp_path, (slab(0, 8) + slab(8, 12, 2), names))[1] == []


def test_a_rounded_affine_is_accepted_and_noted_and_a_shifted_one_refused(tmp_path):
    label = slab(0, 8)
    for shift, notes in ((0.0004, []), (0.01, ["label_affine_rounded"])):
        affine = AFFINE.copy()
        affine[0, 3] += shift
        path = write_nifti(tmp_path / "label.nii.gz", label, affine)
        entries = [{"path": str(path), "map": {"1": "liver"}}]
        assert read_structures(entries, IMAGE, "ct", CODES, True, Checks())[1] == notes
    affine[0, 3] += 0.1
    write_nifti(path, label, affine)
    with pytest.raises(CaseRefused, match="label_grid"):
        read_structures(entries, IMAGE, "ct", CODES, True, Checks())


@given(st.lists(st.dictionaries(st.integers(1, 9).map(str), st.sampled_from([*CODES, "background"])), max_size=5), st.randoms())
def test_codes_depend_on_the_names_alone(maps, random):
    texts = [json.dumps([{"path": "x", "map": names}]) for names in maps]
    codes = structure_codes(texts, ["lung"])
    shuffled = texts * 2
    random.shuffle(shuffled)
    assert structure_codes(shuffled, ["lung"]) == codes
    names = sorted({name for entry in maps for name in entry.values()} - {"background"} | {"lung"})
    assert codes == {name: place for place, name in enumerate(names, 1)}


def test_reserved_names_are_a_user_error():
    with pytest.raises(UserError, match="reserved"):
        structure_codes(['[{"path": "x", "map": {"1": "lesions"}}]'])
