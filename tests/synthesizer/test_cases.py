"""Cases are read patch by patch, and nobody sees the tumors of a pool case."""

import numpy as np
import pytest
import torch
from scipy import stats

from freetumor.core.device import Device
from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.core.tables import FOLD_CASES, read_table
from freetumor.preprocessing.store import read_array
from freetumor.synthesizer import cases
from freetumor.synthesizer.cases import AIR, Case, open_cases, training_patch, tumor_mask, tumor_patch
from freetumor.synthesizer.inference import predict_volume

SIZE = (16, 16, 16)


@pytest.fixture(scope="module")
def table(fold):
    return read_table(fold, FOLD_CASES)


def test_a_pool_case_never_shows_a_tumor_label(table, study, pool):
    rng = generator("pool")
    for case in pool:
        on_disk = read_array(table.set_index("case_id").loc[case.case_id, "label"])
        assert tumor_mask(on_disk).any()  # it has one that nobody is to see
        assert case.tumors == []
        assert not tumor_mask(case.read_label()).any()
        assert np.array_equal(case.read_label(), np.where(tumor_mask(on_disk), on_disk - 1, on_disk))
        for _ in range(30):
            patches = [training_patch(case, SIZE, rng), tumor_patch(case, SIZE, rng)]
            assert not any(tumor_mask(patch.label).any() for patch in patches)


def test_parts_are_opened_in_the_order_of_their_ids(table, study):
    cases = open_cases(table.sample(frac=1, random_state=0), study, "train", "pool")
    assert [case.case_id for case in cases] == ["case-0", "case-1", "case-2", "case-6", "case-7"]
    assert [case.hide_tumors for case in cases] == [False] * 3 + [True] * 2


def test_codes_are_those_of_the_study(table):
    row = table.iloc[0]
    on_disk = read_array(row["label"])
    other = Case(row, ["kidney", "pancreas"], hide_tumors=False)
    assert other.organs == ["pancreas"]
    assert other.tumors == ["pancreas"]
    assert np.array_equal(other.read_label(), np.where(on_disk >= 3, on_disk, 0))
    swapped = Case(row, ["pancreas", "liver"], hide_tumors=False).read_label()
    assert np.array_equal(swapped, np.array([0, 3, 4, 1, 2], np.uint8)[on_disk])


def test_a_patch_is_the_volume_with_air_around_it(labeled):
    case = labeled[0]
    image, label = case.image[...], case.read_label()
    for corner in [(0, 0, 0), (-5, 30, -20), (20, -16, 39), (100, 0, 0), (-40, 0, 0)]:
        patch = case.patch(corner, SIZE)
        padded = np.pad(image, 200, constant_values=AIR)
        window = tuple(slice(c + 200, c + 216) for c in corner)
        assert np.array_equal(patch.image, padded[window])
        assert np.array_equal(patch.label, np.pad(label, 200)[window])


def test_a_patch_holds_its_center_in_its_middle_half(labeled):
    case, rng = labeled[0], generator("around")
    offsets = []
    for _ in range(300):
        center = np.array([14, 18, 20])
        offsets.append(center - case.patch_around(center, (16, 8, 12), rng).corner)
    offsets = np.array(offsets)
    assert offsets.min(axis=0).tolist() == [4, 2, 3]
    assert offsets.max(axis=0).tolist() == [11, 5, 8]


def test_lesions_are_boxes_around_the_annotated_tumors(labeled):
    for case in labeled:
        label = case.read_label()
        for code, organ in ((2, "liver"), (4, "pancreas")):
            boxes = case.lesions(organ)
            covered = np.zeros(label.shape, bool)
            for z0, z1, y0, y1, x0, x1 in boxes:
                covered[z0:z1, y0:y1, x0:x1] = True
            assert len(boxes) >= 1
            assert covered[label == code].all()


def test_patches_for_training_are_drawn_around_tumors_organs_and_anywhere(labeled):
    """Half around a tumor, a quarter around an organ, a quarter anywhere."""
    rng, case = generator("share"), labeled[0]
    calls = {"tumor": 0, "organ": 0}
    original = case.random_site

    def counting(structure, rng):
        calls["tumor" if structure.endswith("_tumor") else "organ"] += 1
        return original(structure, rng)

    case.random_site = counting
    for _ in range(800):
        training_patch(case, SIZE, rng)
    del case.random_site
    counts = [calls["tumor"], calls["organ"], 800 - sum(calls.values())]
    assert stats.chisquare(counts, [400, 200, 200]).pvalue > 0.001


def test_a_pool_case_offers_places_as_if_nobody_had_annotated_its_tumors(table, study, pool):
    for case in pool:
        on_disk = read_array(table.set_index("case_id").loc[case.case_id, "label"])
        places = case.places(0)
        codes = on_disk[tuple(places.voxels.T)]
        assert set(np.unique(codes)) == {1, 2}
        share = tumor_mask(on_disk, 0).sum() / (on_disk <= 2).sum()
        assert (codes == 2).mean() > 0.5 * share
        assert (places.depth > 0).all()


def test_of_many_cases_the_last_that_were_drawn_from_stay_open(table, study, monkeypatch):
    monkeypatch.setattr(cases, "OPEN", 2)
    monkeypatch.setattr(cases, "_opened_cases", {})
    opened = open_cases(table, study, "train", "pool")
    assert not [case.case_id for case in opened if case._opened]
    first = [case.patch((2, 3, 4), (5, 6, 7)) for case in opened]
    places = [case.places(0).depth.copy() for case in opened]
    assert [case.case_id for case in opened if case._opened] == [case.case_id for case in opened[-2:]]
    again = [case.patch((2, 3, 4), (5, 6, 7)) for case in opened]
    assert all((a.image == b.image).all() and (a.label == b.label).all() for a, b in zip(first, again, strict=True))
    assert all((case.places(0).depth == depth).all() for case, depth in zip(opened, places, strict=True))


def test_places_without_depths_ask_for_preprocessing(table, study, tmp_path):
    row = table.iloc[0].copy()
    row["sites"] = str(tmp_path / "old.npz")
    np.savez(row["sites"], liver=np.zeros((3, 3), np.int32), lesions=np.zeros((0, 8), np.int32))
    with pytest.raises(UserError, match=r"old\.npz: holds no depths of liver; preprocess the volume again"):
        Case(row, study.organs, hide_tumors=False).places(0)


class Pointwise(torch.nn.Module):
    """Two logits per voxel, a function of that voxel alone."""

    def forward(self, x):
        return torch.cat([torch.sin(9 * x), 2 * x], dim=1)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.75])
def test_sliding_windows_leave_no_seam(overlap):
    image = generator("seam").integers(-1000, 1000, (20, 70, 90)).astype(np.int16)
    result = predict_volume(Pointwise(), image, (-175.0, 250.0), (16, 16, 16), overlap, Device(torch.device("cpu")))
    x = np.clip((image + 175.0) / 425, 0, 1)
    logits = np.exp(np.stack([np.sin(9 * x), 2 * x]))
    assert result.shape == (2, 20, 70, 90)
    assert np.abs(result - logits / logits.sum(axis=0)).max() < 1e-5
