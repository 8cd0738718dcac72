"""The manifest does not depend on the shards, their order, or on what ran before."""

import pytest

from freetumor.core.tables import FOLD_CASES, MANIFEST, read_table
from freetumor.synthesis import shards
from freetumor.synthesis.bank import accepted_rows, apply_lesion, read_lesion
from tests.factory import paint_bank


def content(manifest):
    files = {path.name: path.read_bytes() for path in (manifest.parent / "bank").iterdir()}
    return manifest.read_bytes(), files


@pytest.mark.parametrize("number", [1, 7, 323])
def test_any_number_of_shards_gives_the_same_manifest_and_bank(study, fold, tmp_path, manifest, number):
    other = paint_bank(study, fold, tmp_path, number, order=list(reversed(range(number))))
    assert content(other) == content(manifest)


@pytest.mark.parametrize("name", ["copy_paste", "freetumor"])
def test_the_same_holds_for_other_synthesizers(study, fold, untrained, tmp_path, name):
    weights, segmenter = untrained.get(name), untrained["segmenter"]
    manifests = [paint_bank(study, fold, tmp_path / str(n), n, name, weights, segmenter) for n in (1, 2)]
    assert content(manifests[0]) == content(manifests[1])
    assert (read_table(manifests[0], MANIFEST)["outcome"] == "accepted").sum() > 3


def test_painting_again_over_an_older_bank_changes_nothing(study, fold, tmp_path, manifest):
    paint_bank(study, fold, tmp_path, 2)
    before = content(tmp_path / "manifest.parquet")
    paint_bank(study, fold, tmp_path, 2)
    assert content(tmp_path / "manifest.parquet") == before == content(manifest)


def test_an_interrupted_shard_goes_on_where_it_was(study, fold, tmp_path, manifest, monkeypatch):
    """A kill after any number of parents: what was complete is not painted again, and the end is the same."""
    painted = []
    original = shards.paint_case

    def counting(painter, case, most=2):
        if len(painted) == most:
            raise KeyboardInterrupt
        painted.append(case.case_id)
        return original(painter, case)

    monkeypatch.setattr(shards, "paint_case", counting)
    with pytest.raises(KeyboardInterrupt):
        paint_bank(study, fold, tmp_path, 1)
    assert not (tmp_path / "shard0.parquet").exists()
    (tmp_path / "bank" / ".case-6.pack.123.tmp.pack").write_bytes(b"killed while it wrote")
    monkeypatch.setattr(shards, "paint_case", lambda painter, case: counting(painter, case, most=99))
    assert content(paint_bank(study, fold, tmp_path, 1)) == content(manifest)
    assert len(painted) == len(set(painted)) == 5


def test_another_configuration_paints_anew(study, fold, tmp_path, manifest):
    paint_bank(study, fold, tmp_path, 1)
    changed = study.model_copy(update={"seed": study.seed + 1})
    rows = read_table(paint_bank(changed, fold, tmp_path, 1), MANIFEST)
    assert rows["seed"].tolist() != read_table(manifest, MANIFEST)["seed"].tolist()


def test_lesions_that_share_a_volume_do_not_touch(study, fold, tmp_path, cases):
    synthesis = study.synthesis.model_copy(update={"lesions_per_case": 12, "lesions_per_volume": 4})
    path = paint_bank(study.model_copy(update={"synthesis": synthesis}), fold, tmp_path, 1)
    rows = accepted_rows(path, list(cases.values()))
    shared = 0
    for (case_id, variant), group in rows.groupby(["case_id", "variant"]):
        assert (group["draw"] // 4 == variant).all()
        image, label = cases[case_id].image[...], cases[case_id].read_label()
        voxels = 0
        for _, row in group.iterrows():  # each checks that the voxels it changes are the parent's own
            lesion = read_lesion(path, row)
            apply_lesion(lesion, image, label, 99)
            voxels += lesion.label.sum()
        assert (label == 99).sum() == voxels
        shared += len(group) > 1
    assert shared >= 4
    assert set(read_table(path, MANIFEST)["outcome"]) >= {"accepted", "no_place"}  # small organs are full after a few


def test_only_training_and_pool_cases_are_painted(fold, rows):
    parts = read_table(fold, FOLD_CASES).set_index("case_id")["part"]
    assert set(parts[rows["case_id"]]) == {"train", "pool"}
    counts = rows.groupby("case_id").size()
    assert counts.to_dict() == {case: 3 for case, part in parts.items() if part in {"train", "pool"}}


def test_rows_are_sorted_and_identify_every_lesion(rows):
    pairs = list(zip(rows["case_id"], rows["draw"], strict=True))
    assert pairs == sorted(pairs)
    assert rows["lesion_id"].tolist() == [f"{case}.{draw}" for case, draw in pairs]
    assert rows["lesion_id"].is_unique
    assert rows["seed"].is_unique


def test_all_synthesizers_paint_on_the_same_canvases(study, fold, untrained, tmp_path, rows):
    other = read_table(
        paint_bank(study, fold, tmp_path, 1, "freetumor", untrained["freetumor"], untrained["segmenter"]), MANIFEST
    )
    assert other["organ"].tolist() == rows["organ"].tolist()
    assert other["seed"].tolist() != rows["seed"].tolist()
