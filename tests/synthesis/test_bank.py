"""The bank gives back exactly what was painted, and never to the wrong parent."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.core.tables import MANIFEST, write_table
from freetumor.synthesis.bank import (
    Lesion,
    accepted_rows,
    apply_lesion,
    checksum,
    crop_lesion,
    pack_lesion,
    read_lesion,
    read_rows,
    record_block,
    unpack_lesion,
    write_pack,
)
from freetumor.synthesis.shards import FoldSynthesizer, paint_case
from freetumor.synthesizer.assembly import assemble
from tests.factory import bank_lesion

SHAPE = (5, 6, 7)
HU = st.integers(-32768, 32767)


@given(arrays(np.int16, SHAPE, elements=HU), arrays(np.int16, SHAPE, elements=HU), arrays(bool, SHAPE))
def test_a_lesion_round_trips_exactly(before, noise, label):
    label[2, 3, 4] = True
    after = np.where(label, noise, before)
    corner = (3, -2, 50)
    cropped = crop_lesion(before, after, label, corner)
    lesion = unpack_lesion(pack_lesion(cropped), cropped.corner)
    assert (lesion.change.dtype, lesion.label.dtype) == (np.int16, bool)
    assert all(lesion.label.any(axis=tuple({0, 1, 2} - {axis}))[[0, -1]].all() for axis in range(3))  # the box is tight
    image, codes = before.copy(), np.ones(SHAPE, np.uint8)
    apply_lesion(lesion, image, codes, 4, corner)
    assert np.array_equal(image, after)
    assert np.array_equal(codes, np.where(label, 4, 1))


def test_a_rim_that_changes_beyond_the_label_is_kept():
    before, label = np.full(SHAPE, 100, np.int16), np.zeros(SHAPE, bool)
    label[2, 3, 3] = True
    after = before.copy()
    after[1:4, 2:5, 2:5] = 80
    image, codes = before.copy(), np.zeros(SHAPE, np.uint8)
    apply_lesion(crop_lesion(before, after, label, (0, 0, 0)), image, codes, 2)
    assert np.array_equal(image, after)
    assert codes.sum() == 2


@given(
    arrays(np.int16, (3, 4, 5), elements=st.integers(-500, 500)),
    arrays(bool, (3, 4, 5)),
    *[st.tuples(*[st.integers(-4, 8)] * 3)] * 2,
)
def test_a_volume_and_an_overlapping_patch_agree(change, label, corner, patch_corner):
    rng = generator("volume")
    volume, codes = rng.integers(-1000, 1000, (20, 20, 20)).astype(np.int16), np.ones((20, 20, 20), np.uint8)
    origin = (-6, -6, -6)  # of the array, so that parts outside the stored volume are seen too
    cut = tuple(slice(c + 6, c + 6 + n) for c, n in zip(patch_corner, SHAPE, strict=True))
    place = tuple(slice(c + 6, c + 6 + n) for c, n in zip(corner, label.shape, strict=True))
    lesion = Lesion(change, label, corner, checksum(volume[place]))
    patch, patch_codes = volume[cut].copy(), codes[cut].copy()
    expected, expected_codes = volume.copy(), codes.copy()
    expected[place] += change
    expected_codes[place][label] = 4

    apply_lesion(lesion, volume, codes, 4, origin)
    apply_lesion(lesion, patch, patch_codes, 4, patch_corner)
    assert np.array_equal(volume, expected)
    assert np.array_equal(codes, expected_codes)
    assert np.array_equal(patch, expected[cut])
    assert np.array_equal(patch_codes, expected_codes[cut])


def test_a_lesion_is_never_applied_to_other_voxels():
    image, label = np.zeros(SHAPE, np.int16), np.ones(SHAPE, bool)
    lesion = crop_lesion(image, image + np.int16(5), label, (0, 0, 0))
    other, codes = image.copy(), np.zeros(SHAPE, np.uint8)
    other[0, 0, 0] = 1
    with pytest.raises(UserError, match="not those that the lesion was painted on"):
        apply_lesion(lesion, other, codes, 2)
    assert other.sum() == 1
    assert codes.sum() == 0
    apply_lesion(lesion, image, codes, 2)
    with pytest.raises(UserError, match="another lesion that was applied before"):
        apply_lesion(lesion, image, codes, 2)  # twice


def test_applying_a_banked_lesion_gives_what_was_painted(study, rows, manifest, cases):
    synthesizer = assemble("constant", study, [case for case in cases.values() if not case.hide_tumors], "cpu")
    checked = 0
    for case_id, group in rows.groupby("case_id"):
        case = cases[case_id]
        made = paint_case(FoldSynthesizer(study, synthesizer, "constant", 0), case)
        for (record, block), (_, row) in zip(made, group.iterrows(), strict=True):
            assert record["outcome"] == row["outcome"]
            if row["outcome"] != "accepted":
                continue
            image, label = case.image[...], case.read_label()
            before = image.copy()
            apply_lesion(read_lesion(manifest, row), image, label, 2 * study.organs.index(row["organ"]) + 2)
            mine = unpack_lesion(block, tuple(json.loads(row["corner"])))
            assert np.array_equal(image[mine.box] - before[mine.box], mine.change)
            assert np.array_equal(image != before, label != case.read_label())  # labels are exact
            checked += 1
    assert checked >= 10


@pytest.mark.parametrize("damage", ["flip", "truncate", "missing", "another"])
def test_a_file_that_is_not_the_manifest_s_is_refused(tmp_path, manifest, rows, damage):
    accepted = rows[rows["outcome"] == "accepted"]
    row = accepted.iloc[-1]
    shutil.copytree(manifest.parent, tmp_path / "copy")
    path = tmp_path / "copy" / row["patch"]
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "another":
        shutil.copy(path.with_name(accepted.iloc[0]["patch"].split("/")[1]), path)
    else:
        content[-20] ^= 1
        path.write_bytes(content if damage == "flip" else content[:-60])
    match = "lesions not found" if damage == "missing" else f"checksum of lesion {row['lesion_id']} differs"
    last = accepted[accepted["patch"] == row["patch"]].iloc[-1]
    with pytest.raises(UserError, match=match.replace(row["lesion_id"], last["lesion_id"])) as caught:
        read_lesion(tmp_path / "copy" / "manifest.parquet", last)
    assert str(path) in str(caught.value)


def test_a_parent_that_has_changed_is_noticed_when_the_bank_is_opened(manifest, rows, cases, tmp_path):
    assert len(accepted_rows(manifest, list(cases.values()))) == (rows["outcome"] == "accepted").sum()
    changed = rows.assign(parent_hash=rows["parent_hash"].where(rows["case_id"] != "case-1", "another"))
    write_table(changed, tmp_path / "manifest.parquet", MANIFEST)
    with pytest.raises(UserError, match=r"manifest\.parquet: the volume of case-1 has changed since"):
        accepted_rows(tmp_path / "manifest.parquet", list(cases.values()))
    assert len(accepted_rows(tmp_path / "manifest.parquet", [case for name, case in cases.items() if name != "case-1"])) > 5


def test_a_pack_that_is_damaged_or_of_another_configuration_counts_as_missing(tmp_path):
    image = generator("pack").integers(-100, 100, (9, 9, 9)).astype(np.int16)
    block = pack_lesion(crop_lesion(np.zeros_like(image), image, image > 50, (1, 2, 3)))
    rows = [{"patch": "a.pack", **record_block(block, 0)}, {"patch": "", "score": float("nan")}]
    path = tmp_path / "a.pack"
    write_pack(path, rows, [block, b""], "one")
    assert json.dumps(read_rows(path, "one"), sort_keys=True) == json.dumps(rows, sort_keys=True)
    assert read_rows(path, "two") is None
    assert read_rows(tmp_path / "none.pack", "one") is None
    content = bytearray(path.read_bytes())
    for cut in (3, 20, len(content) - 1):
        path.write_bytes(content[:cut])
        assert read_rows(path, "one") is None
    content[-5] ^= 1
    path.write_bytes(content)
    assert read_rows(path, "one") is None


def test_the_same_lesion_has_the_same_bytes():
    image = generator("bytes").integers(-100, 100, (9, 9, 9)).astype(np.int16)
    lesion = crop_lesion(np.zeros_like(image), image, image > 50, (1, 2, 3))
    assert pack_lesion(lesion) == pack_lesion(lesion)


def test_the_record_describes_the_patch(study, rows, manifest, cases):
    voxel = float(np.prod((3.0, 2.5, 2.5)))
    assert list(rows.columns) == list(MANIFEST.columns)
    for _, row in rows[rows["outcome"] == "accepted"].iterrows():
        lesion, case = read_lesion(manifest, row), cases[row["case_id"]]
        assert (row["patient_id"], row["source"], row["parent_hash"]) == (case.patient_id, case.source, case.parent_hash)
        assert row["volume_ml"] == pytest.approx(lesion.label.sum() * voxel / 1000)
        assert np.pi / 6 * row["diameter_mm"] ** 3 == pytest.approx(1000 * row["volume_ml"])
        assert row["contrast_hu"] == pytest.approx(lesion.change[lesion.label].mean())
        assert (case.read_label()[lesion.box][lesion.label] == 2 * study.organs.index(row["organ"]) + 1).all()
        center = json.loads(row["center"])
        assert np.abs(np.argwhere(lesion.label).mean(axis=0) + lesion.corner - np.array(center, float)).max() < 0.006
    refused = rows[rows["outcome"] != "accepted"]
    assert (refused["patch"] == "").all()
    assert refused["volume_ml"].isna().all()


def test_a_banked_lesion_is_read_from_its_place_in_the_pack(tmp_path):
    lesion = crop_lesion(np.zeros(SHAPE, np.int16), np.ones(SHAPE, np.int16), np.ones(SHAPE, bool), (4, 5, 6))
    row = bank_lesion(tmp_path, "made", lesion) | {"lesion_id": "made.0"}
    assert read_lesion(tmp_path / "manifest.parquet", row).corner == (4, 5, 6)
