"""The bank gives back exactly what was painted, wherever it is applied."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.core.tables import MANIFEST
from freetumor.synthesis.bank import Lesion, apply_lesion, crop_lesion, read_lesion, write_lesion
from freetumor.synthesizer.assembly import assemble
from freetumor.synthesizer.cases import canvas_patch

SHAPE = (5, 6, 7)
HU = st.integers(-32768, 32767)


@given(arrays(np.int16, SHAPE, elements=HU), arrays(bool, SHAPE), st.tuples(*[st.integers(-9, 99)] * 3))
def test_a_lesion_round_trips_exactly(tmp_path_factory, image, label, corner):
    label[2, 3, 4] = True
    lesion = crop_lesion(image, label, corner)
    path = tmp_path_factory.getbasetemp() / "lesion.b2"
    row = {"patch": path.name, "patch_sha256": write_lesion(path, lesion), "corner": str(list(lesion.corner))}
    again = read_lesion(path.parent / "manifest.parquet", row)
    assert np.array_equal(again.image, lesion.image)
    assert np.array_equal(again.label, lesion.label)
    assert again.image.dtype == np.int16
    assert again.label.dtype == bool
    assert again.corner == lesion.corner

    whole = np.zeros(SHAPE, bool)
    box = tuple(slice(c - o, c - o + n) for c, o, n in zip(lesion.corner, corner, lesion.label.shape, strict=True))
    whole[box] = lesion.label
    assert np.array_equal(whole, label)  # nothing of the lesion is lost
    assert all(lesion.label.any(axis=tuple({0, 1, 2} - {axis}))[[0, -1]].all() for axis in range(3))  # and the box is tight
    assert np.array_equal(lesion.image, image[box])


@given(
    arrays(np.int16, (3, 4, 5), elements=HU),
    arrays(bool, (3, 4, 5)),
    st.tuples(*[st.integers(-4, 8)] * 3),
    st.tuples(*[st.integers(-4, 8)] * 3),
)
def test_a_volume_and_an_overlapping_patch_agree(image, label, corner, patch_corner):
    lesion = Lesion(image, label, corner)
    rng = generator("volume")
    volume, codes = rng.integers(-1000, 1000, (20, 20, 20)).astype(np.int16), np.ones((20, 20, 20), np.uint8)
    origin = (-6, -6, -6)  # of the array, so that parts outside the stored volume are seen too
    cut = tuple(slice(c + 6, c + 6 + n) for c, n in zip(patch_corner, SHAPE, strict=True))
    patch, patch_codes = volume[cut].copy(), codes[cut].copy()
    expected, expected_codes = volume.copy(), codes.copy()
    for voxel in np.argwhere(label):  # brute force
        place = tuple(voxel + corner - origin)
        expected[place], expected_codes[place] = image[tuple(voxel)], 4

    apply_lesion(lesion, volume, codes, 4, origin)
    apply_lesion(lesion, patch, patch_codes, 4, patch_corner)
    assert np.array_equal(volume, expected)
    assert np.array_equal(codes, expected_codes)
    assert np.array_equal(patch, expected[cut])
    assert np.array_equal(patch_codes, expected_codes[cut])


def test_applying_a_banked_lesion_gives_what_was_painted(study, rows, manifest, cases):
    synthesizer = assemble("constant", study, [case for case in cases.values() if not case.hide_tumors], "cpu")
    checked = 0
    for _, row in rows[rows["outcome"] == "accepted"].iterrows():
        case, draw = cases[row["case_id"]], row["draw"]
        canvas_key = (study.seed, "canvas", 0, case.case_id, draw)
        patch, organ = canvas_patch(case, study.working.patch, generator(*canvas_key))
        key = (study.seed, "synthesis", "constant", 0, case.case_id, draw)
        made = synthesizer.make(patch, study.organs.index(organ), generator(*key))
        apply_lesion(read_lesion(manifest, row), patch.image, patch.label, 2 * study.organs.index(organ) + 2, patch.corner)
        assert np.array_equal(patch.image, made.image)
        assert np.array_equal(patch.label, made.label)
        checked += 1
    assert checked >= 10


@pytest.mark.parametrize("damage", ["flip", "truncate", "missing", "another"])
def test_a_file_that_is_not_the_manifest_s_is_refused(tmp_path, manifest, rows, damage):
    accepted = rows[rows["outcome"] == "accepted"]
    shutil.copytree(manifest.parent, tmp_path / "copy")
    path = tmp_path / "copy" / accepted.iloc[0]["patch"]
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "another":
        shutil.copy(path.with_name(accepted.iloc[1]["patch"].split("/")[1]), path)
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content if damage == "flip" else content[:-3])
    with pytest.raises(UserError, match=r"lesion not found" if damage == "missing" else "checksum differs") as caught:
        read_lesion(tmp_path / "copy" / "manifest.parquet", accepted.iloc[0])
    assert str(path) in str(caught.value)


def test_the_same_lesion_has_the_same_bytes(tmp_path):
    image = generator("bytes").integers(-100, 100, (9, 9, 9)).astype(np.int16)
    lesion = crop_lesion(image, image > 50, (1, 2, 3))
    assert write_lesion(tmp_path / "a.b2", lesion) == write_lesion(tmp_path / "b.b2", lesion)


def test_the_record_describes_the_patch(study, rows, manifest, cases):
    voxel = float(np.prod((3.0, 2.5, 2.5)))
    assert list(rows.columns) == list(MANIFEST.columns)
    for _, row in rows[rows["outcome"] == "accepted"].iterrows():
        lesion, case = read_lesion(manifest, row), cases[row["case_id"]]
        assert (row["patient_id"], row["source"]) == (case.patient_id, case.source)
        assert row["volume_ml"] == pytest.approx(lesion.label.sum() * voxel / 1000)
        assert np.pi / 6 * row["diameter_mm"] ** 3 == pytest.approx(1000 * row["volume_ml"])
        parent, label = case.image[...].astype(int), case.read_label()
        box = tuple(slice(c, c + n) for c, n in zip(lesion.corner, lesion.label.shape, strict=True))
        change = (lesion.image - parent[box])[lesion.label]
        assert row["contrast_hu"] == pytest.approx(change.mean())
        assert (label[box][lesion.label] == 2 * study.organs.index(row["organ"]) + 1).all()
        center = json.loads(row["center"])
        assert np.abs(np.argwhere(lesion.label).mean(axis=0) + lesion.corner - np.array(center, float)).max() < 0.006
    refused = rows[rows["outcome"] != "accepted"]
    assert (refused["patch"] == "").all()
    assert refused["volume_ml"].isna().all()
