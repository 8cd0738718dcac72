"""A region is a square of one slice, centered on its lesion and sized by it, however the file stores the image."""

import json

import nibabel
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from freetumor.core.config import Checks, Preset
from freetumor.core.tables import VOLUMES, make_table
from freetumor.preprocessing.case import prepare_case
from freetumor.preprocessing.duplicates import find_pairs
from freetumor.preprocessing.quarantine import CaseRefused
from freetumor.preprocessing.recipe import Recipe
from freetumor.preprocessing.region import find_square, nearest_square, resample_square
from freetumor.preprocessing.store import read_array
from freetumor.synthesizer.regions import open_regions, plain
from tests.preprocessing.samples import raw_case, write_dicom, write_nifti
from tests.regions import region_config

PATCH, FIT, CONTEXT = 24, 1.5, 2.4
STORED = 38  # 24 * 2.4 / 1.5, rounded to an even number as 24 is
PRESET = Preset(form="region", window=(-50, 200), patch=(1, PATCH, PATCH), fit=FIT, context=CONTEXT)
PIXELS = (0.9, 0.7)  # y, x in mm
SHAPE = (90, 110)


def affine_of(thickness=4.0):
    """Canonical: x to the left, y to the back, z up."""
    return np.array([[-PIXELS[1], 0, 0, 30.0], [0, -PIXELS[0], 0, 45.0], [0, 0, thickness, -70.0], [0, 0, 0, 1]])


def make_slices(*disks, count=1, seed=0, level=100.0):
    """Noisy liver and its label, (count, y, x): disks (z, y, x, diameter) in mm are dark, and labeled 2."""
    rng = np.random.default_rng(seed)
    image, label = rng.normal(level, 12, (count, *SHAPE)), np.ones((count, *SHAPE), np.uint8)
    image[:, :6] = rng.normal(-100, 12, image[:, :6].shape)  # fat, so that this passes for CT in HU
    y, x = (np.arange(length) * step for length, step in zip(SHAPE, PIXELS, strict=True))
    for z, cy, cx, diameter in disks:
        inside = (y[:, None] - cy) ** 2 + (x - cx) ** 2 < (diameter / 2) ** 2
        image[z][inside] -= 60
        label[z][inside] = 2
    return np.rint(image).astype(np.int16), label


def prepare(tmp_path, case, **changes):
    recipe = Recipe(PRESET, Checks(extent=(2, 2500)), {"kidney": 1, "liver": 2, "liver_tumor": 3}, {}, "liver_tumor", "code")
    return prepare_case(case, Recipe(**{**vars(recipe), **changes}), tmp_path / "work")


def write_case(folder, image, label, name="case", affine=None, **changes):
    affine = affine_of() if affine is None else affine
    paths = [write_nifti(folder / f"{name}-{kind}.nii.gz", array, affine) for kind, array in (("i", image), ("l", label))]
    return raw_case(name, *paths, category="cyst", **changes)


def test_the_lesion_is_in_the_middle_and_has_its_share_of_the_square(tmp_path):
    disk = (0, 40.0, 38.0, 21.0)
    row = prepare(tmp_path, write_case(tmp_path, *make_slices(disk)))
    image, label = read_array(row["image"]), read_array(row["label"])
    assert image.shape == label.shape == (1, STORED, STORED)
    assert (image.dtype, label.dtype) == (np.int16, np.uint8)
    assert row["diameter_mm"] == pytest.approx(21, rel=0.01)
    lesion = label[0] == 3
    assert 2 * np.sqrt(lesion.sum() / np.pi) == pytest.approx(PATCH / FIT, rel=0.02)
    np.testing.assert_allclose(np.argwhere(lesion).mean(axis=0), (STORED - 1) / 2, atol=0.3)
    assert image[0][lesion].mean() == pytest.approx(40, abs=3)
    assert json.loads(row["spacing"]) == pytest.approx(
        [4.0, FIT * row["diameter_mm"] / PATCH, FIT * row["diameter_mm"] / PATCH]
    )
    assert row["tumor_ml"] == pytest.approx(np.pi * 21**2 / 4 * 4 / 1000, rel=0.02)
    assert (row["organs"], row["tumors"], row["category"], row["notes"]) == ("liver", "liver_tumor", "cyst", "")


def test_the_affine_and_the_crop_say_where_the_square_lies(tmp_path):
    disk = (2, 40.0, 38.0, 21.0)
    row = prepare(tmp_path, write_case(tmp_path, *make_slices(disk, count=4)))
    middle = np.array(json.loads(row["affine"])) @ [(STORED - 1) / 2, (STORED - 1) / 2, 0, 1]
    np.testing.assert_allclose(middle[:3], [30 - 38, 45 - 40, -70 + 2 * 4], atol=0.1)
    assert json.loads(row["native_shape"]) == [1, *SHAPE]
    assert read_array(row["native"]).shape == (1, *SHAPE)
    assert json.loads(row["native_spacing"]) == pytest.approx([4.0, *PIXELS])
    (z0, z1), *sides = json.loads(row["crop"])
    assert (z0, z1) == (0, 1)
    for (start, stop), step, pixel in zip(sides, PIXELS, json.loads(row["spacing"])[1:], strict=True):
        assert (stop - start) * step == pytest.approx(STORED * pixel)


def test_the_region_of_a_row_is_what_the_synthesizers_read(tmp_path):
    row = prepare(tmp_path, write_case(tmp_path, *make_slices((0, 40.0, 38.0, 21.0))))
    config = region_config(PATCH)
    (region,) = open_regions(pd.DataFrame([{**row, "part": "train"}]), config, "train")
    shown = plain(region, config)
    assert shown.shape == (PATCH, PATCH)
    y, x = np.indices(shown.shape) - (PATCH - 1) / 2
    inside = np.hypot(y, x) < 0.9 * PATCH / FIT / 2
    outside = (np.hypot(y, x) > 1.1 * PATCH / FIT / 2) & (np.hypot(y, x) < PATCH / 2)
    assert shown[inside].mean() == pytest.approx(40, abs=4)
    assert shown[outside].mean() == pytest.approx(100, abs=4)


@pytest.mark.parametrize("flips", [(1, 1, 1), (1, -1, 1), (1, 1, -1), (-1, -1, -1)])
def test_the_way_the_file_stores_the_image_changes_nothing(tmp_path, flips):
    image, label = make_slices((1, 40.0, 38.0, 21.0), count=3)
    expected = prepare(tmp_path / "plain", write_case(tmp_path, image, label))
    affine = affine_of()
    for axis, (flip, length) in enumerate(zip(flips[::-1], image.shape[::-1], strict=True)):
        if flip < 0:
            affine[:, 3] += affine[:, axis] * (length - 1)
            affine[:, axis] *= -1
    stored = [array[:: flips[0], :: flips[1], :: flips[2]] for array in (image, label)]
    row = prepare(tmp_path / "other", write_case(tmp_path, *stored, name="other", affine=affine))
    assert row["voxel_hash"] == expected["voxel_hash"]
    assert row["crop"] == expected["crop"]
    np.testing.assert_allclose(json.loads(row["affine"]), json.loads(expected["affine"]), atol=1e-5)  # float32 headers


def test_the_slice_is_the_one_in_which_the_largest_component_is_largest(tmp_path):
    image, label = make_slices(
        (0, 20.0, 20.0, 12.0), (1, 20.0, 20.0, 16.0), (2, 20.0, 20.0, 10.0), (2, 60.0, 50.0, 15.0), count=4
    )
    row = prepare(tmp_path, write_case(tmp_path, image, label))
    assert row["diameter_mm"] == pytest.approx(16, rel=0.03)
    assert json.loads(row["affine"])[2][3] == pytest.approx(-70 + 4)


def test_a_box_chooses_among_the_lesions_of_a_mask(tmp_path):
    image, label = make_slices((1, 20.0, 20.0, 16.0), (1, 60.0, 50.0, 12.0), count=2)
    box = [int(52 / PIXELS[0]), int(68 / PIXELS[0]), int(42 / PIXELS[1]), int(58 / PIXELS[1])]
    region = json.dumps({"slice": 1, "box": box})
    row = prepare(tmp_path, write_case(tmp_path, image, label, region=region))
    assert row["diameter_mm"] == pytest.approx(12, rel=0.03)


def test_lesions_of_one_volume_are_no_duplicates_but_a_lesion_listed_twice_is(tmp_path):
    image, label = make_slices((1, 20.0, 20.0, 16.0), (1, 60.0, 50.0, 12.0), count=2)
    regions = ["", json.dumps({"slice": 1, "box": [60, 70, 60, 80]}), ""]
    rows = [prepare(tmp_path, write_case(tmp_path, image, label, name=f"c{k}", region=text)) for k, text in enumerate(regions)]
    table = make_table([{**row, "sites": ""} for row in rows], VOLUMES)
    assert [pair[:2] for pair in find_pairs(table)] == [(0, 2)]


def test_cysts_that_differ_in_their_noise_alone_are_no_duplicates_and_noisy_copies_are(tmp_path):
    disk = (0, 40.0, 38.0, 21.0)
    cases = [write_case(tmp_path, *make_slices(disk, seed=seed), name=f"c{seed}") for seed in range(4)]
    image, label = make_slices(disk, seed=0)
    copy = image + np.rint(np.random.default_rng(9).normal(0, 2, image.shape)).astype(np.int16)
    cases.append(write_case(tmp_path, copy[..., ::-1], label[..., ::-1], name="copy"))
    table = make_table([prepare(tmp_path, case) for case in cases], VOLUMES)
    assert [pair[:2] for pair in find_pairs(table)] == [(0, 4)]


def test_a_box_without_a_mask_stands_for_its_ellipse_in_the_axes_of_the_file(tmp_path):
    image, _ = make_slices((1, 40.0, 38.0, 21.0), count=3)
    affine = affine_of()
    affine[:, 3] += affine[:, 0] * (SHAPE[1] - 1)
    affine[:, 0] *= -1  # stored from the left: the box counts columns of the file
    center, half = (40.0 / PIXELS[0], SHAPE[1] - 1 - 38.0 / PIXELS[1]), (10.5 / PIXELS[0], 10.5 / PIXELS[1])
    box = [round(c + 0.5 + side * h) for c, h in zip(center, half, strict=True) for side in (-1, 1)]
    case = raw_case("case", write_nifti(tmp_path / "i.nii.gz", image[..., ::-1], affine), category="cyst")
    row = prepare(tmp_path, {**case, "region": json.dumps({"slice": 1, "box": box})})
    assert row["diameter_mm"] == pytest.approx(21, rel=0.05)
    lesion = read_array(row["label"])[0] == 3
    assert read_array(row["image"])[0][lesion].mean() == pytest.approx(40, abs=6)


def test_a_crop_without_mask_and_box_is_shown_as_it_is(tmp_path):
    image = np.rint(np.random.default_rng(0).normal(100, 5, (1, PATCH, PATCH))).astype(np.int16)
    image[0, :, :8] -= 150
    case = raw_case("crop", write_nifti(tmp_path / "crop.nii.gz", image, np.diag([-1.0, -1, 1, 1])), category="cyst")
    row = prepare(tmp_path, case)
    config = region_config(PATCH)
    (region,) = open_regions(pd.DataFrame([{**row, "part": "train"}]), config, "train")
    assert np.corrcoef(plain(region, config).ravel(), image.ravel())[0, 1] > 0.98
    assert "context_padded" in row["notes"]


def test_beyond_the_image_the_outermost_pixels_go_on_and_nothing_is_labeled(tmp_path):
    image, label = make_slices((0, 40.0, 4.0, 21.0))
    row = prepare(tmp_path, write_case(tmp_path, image, label))
    assert row["notes"] == "context_padded"
    region, working = read_array(row["image"])[0], read_array(row["label"])[0]
    np.testing.assert_array_equal(region[:, 0], region[:, 1])
    assert not working[:, 0].any()


def test_a_slice_inside_the_liver_is_taken_with_a_note_and_a_shifted_one_is_refused(tmp_path):
    image, label = make_slices((0, 40.0, 38.0, 21.0))
    image[:, :6] = 100
    assert prepare(tmp_path, write_case(tmp_path, image, label))["notes"] == "hu_unproven"
    image[:, :30] = np.random.default_rng(0).normal(-1000, 15, image[:, :30].shape)
    with pytest.raises(CaseRefused, match="hu_offset"):
        prepare(tmp_path, write_case(tmp_path, image + np.int16(1024), label, name="shifted"))


@pytest.mark.parametrize(
    ("count", "changes", "labels", "reason"),
    [
        (1, {}, "empty", "no voxel of a lesion"),
        (3, {}, "none", "needs a mask or a box"),
        (3, {"region": '{"slice": 3, "box": [0, 9, 0, 9]}'}, "none", "slice 3 is not one of the 3"),
        (1, {"region": '{"slice": 0, "box": [500, 509, 0, 9]}'}, "none", "no voxel of a lesion inside the box"),
        (3, {"region": '{"slice": 0, "box": [0, 9, 0, 9]}'}, "full", "no voxel of a lesion inside the box"),
    ],
)
def test_a_case_without_a_lesion_is_refused(tmp_path, count, changes, labels, reason):
    image, label = make_slices((0, 40.0, 38.0, 21.0), count=count)
    case = write_case(tmp_path, image, np.minimum(label, 1) if labels == "empty" else label, **changes)
    if labels == "none":
        case["labels"] = "[]"
    with pytest.raises(CaseRefused) as caught:
        prepare(tmp_path, case)
    assert caught.value.code == "lesion_missing"
    assert reason in caught.value.reason
    assert not list((tmp_path / "work").glob("*"))


def test_every_format_may_hold_a_single_slice(tmp_path):
    image, _ = make_slices((0, 40.0, 38.0, 21.0))
    region = json.dumps({"slice": 0, "box": [32, 57, 40, 70]})
    flat = nibabel.Nifti1Image(image[0].T, np.diag([-0.7, -0.9, 1, 1]))
    flat.to_filename(tmp_path / "flat.nii.gz")
    picture = sitk.GetImageFromArray(image[0])
    picture.SetSpacing(PIXELS[::-1])
    sitk.WriteImage(picture, str(tmp_path / "flat.nrrd"))
    write_dicom(tmp_path / "series", image)
    hashes = set()
    for name in ("flat.nii.gz", "flat.nrrd", "series"):
        row = prepare(tmp_path, raw_case(name[-6:], tmp_path / name, category="cyst", region=region))
        hashes.add(row["voxel_hash"] if name != "series" else "")
        assert json.loads(row["native_shape"]) == [1, *SHAPE]
    assert len(hashes) == 2  # the pixels of the series have another shape
    assert json.loads(row["native_spacing"])[0] == 5.0  # its slice thickness


def test_a_label_file_given_as_an_image_is_refused(tmp_path):
    _, label = make_slices((0, 40.0, 38.0, 21.0))
    with pytest.raises(CaseRefused, match="image_few_values"):
        prepare(tmp_path, write_case(tmp_path, label, label))


def test_the_result_is_kept_until_the_preset_changes(tmp_path):
    case = write_case(tmp_path, *make_slices((0, 40.0, 38.0, 21.0)))
    row = prepare(tmp_path, case)
    written = (tmp_path / "work" / "case.image.b2nd").stat().st_mtime_ns
    assert prepare(tmp_path, case) == row
    assert (tmp_path / "work" / "case.image.b2nd").stat().st_mtime_ns == written
    wider = prepare(tmp_path, case, preset=PRESET.model_copy(update={"context": 3.0}))
    assert json.loads(wider["shape"]) == [1, 48, 48]


@given(
    center=st.tuples(st.floats(20, 60), st.floats(20, 60)),
    diameter=st.floats(8, 16),
    slope=st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
)
def test_a_ramp_is_resampled_to_the_same_ramp(center, diameter, slope):
    y, x = np.ogrid[:80, :80]
    plane = np.rint(slope[0] * y + slope[1] * x).astype(np.int16)
    box, count = find_square(np.array(center), diameter, (1.0, 1.0), PRESET)
    (y0, y1), (x0, x1) = box[1:]
    at_y, at_x = (a + (np.arange(count) + 0.5) * (b - a) / count - 0.5 for a, b in ((y0, y1), (x0, x1)))
    expected = slope[0] * at_y[:, None] + slope[1] * at_x
    whole = (at_y[:, None] > 2) & (at_y[:, None] < 77) & (at_x > 2) & (at_x < 77)
    error = np.abs(resample_square(plane, box, count) - expected)[whole]
    assert (y1 - y0) / count <= 1  # nothing shrinks
    assert error.max() <= 1.3  # input and output are rounded, and the kernel overshoots by a quarter


def test_a_shrinking_square_averages_and_keeps_constants():
    noise = np.rint(np.random.default_rng(0).normal(50, 20, (400, 400))).astype(np.int16)
    box, count = find_square(np.array([199.5, 199.5]), 160.0, (1.0, 1.0), PRESET)
    step = (box[1][1] - box[1][0]) / count
    shrunk = resample_square(noise, box, count)
    assert step == pytest.approx(10)
    assert shrunk.std() < 4  # folded noise would keep its 20 HU
    assert (resample_square(np.full((400, 400), -77, np.int16), box, count) == -77).all()


def test_the_label_comes_from_the_nearest_voxel_by_brute_force():
    label = np.random.default_rng(0).integers(0, 4, (30, 34)).astype(np.uint8)
    box = ((0, 1), (-3.2, 25.2), (6.1, 34.9))
    result = nearest_square(label, box, 19)
    for i in range(19):
        for j in range(19):
            y, x = -3.2 + (i + 0.5) * 28.4 / 19, 6.1 + (j + 0.5) * 28.8 / 19
            inside = 0 <= y < 30 and 0 <= x < 34
            assert result[i, j] == (label[int(y), int(x)] if inside else 0)
