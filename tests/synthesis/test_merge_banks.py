"""A merged bank holds the chosen lesions, byte for byte, and nothing of different banks shares a volume."""

import pytest

from freetumor.core.errors import UserError
from freetumor.core.tables import MANIFEST, read_table, write_table
from freetumor.synthesis.bank import accepted_rows, read_block
from freetumor.synthesis.merge_banks import STATISTICS, merge_banks
from tests.factory import paint_bank


@pytest.fixture(scope="module")
def other(study, fold, tmp_path_factory):
    return paint_bank(study, fold, tmp_path_factory.mktemp("other"), 1, "automaton")


def test_chosen_lesions_are_the_same_bytes(manifest, cases, tmp_path):
    merge_banks([manifest], tmp_path / "manifest.parquet", "organ == 'liver' and diameter_mm <= 20")
    rows, before = accepted_rows(tmp_path / "manifest.parquet", list(cases.values())), accepted_rows(manifest)
    expected = before[(before["organ"] == "liver") & (before["diameter_mm"] <= 20)]
    assert 0 < len(rows) < len(before)
    assert rows["lesion_id"].tolist() == expected["lesion_id"].tolist()
    assert [read_block(tmp_path / "manifest.parquet", row) for _, row in rows.iterrows()] == [
        read_block(manifest, row) for _, row in expected.iterrows()
    ]


def test_banks_are_merged_with_variants_and_names_of_their_own(manifest, other, tmp_path):
    merge_banks([manifest, other], tmp_path / "manifest.parquet")
    rows = accepted_rows(tmp_path / "manifest.parquet")
    assert len(rows) == len(accepted_rows(manifest)) + len(accepted_rows(other))
    assert rows["lesion_id"].is_unique
    assert not rows.duplicated(["case_id", "draw"]).any()
    assert (rows.groupby(["case_id", "variant"])["synthesizer"].nunique() == 1).all()
    sheet = read_table(tmp_path / "statistics.csv", STATISTICS)
    counted = sheet[sheet["quantity"] == "lesions"].groupby("synthesizer")["value"].sum().to_dict()
    assert counted == rows["synthesizer"].value_counts().to_dict()
    assert f"{len(rows)} lesions" in (tmp_path / "README.txt").read_text()


def test_the_order_of_the_banks_only_changes_names_of_variants(manifest, other, tmp_path):
    for name, banks in (("a", [manifest, other]), ("b", [other, manifest])):
        merge_banks(banks, tmp_path / name / "manifest.parquet")
    a, b = (read_table(tmp_path / name / "manifest.parquet", MANIFEST) for name in "ab")
    assert sorted(a["patch_sha256"]) == sorted(b["patch_sha256"])


def test_mistakes_are_named(manifest, other, tmp_path):
    for query, match in (
        ("organ = 'liver'", "query 'organ = 'liver''"),
        ("weight > 3", "weight.*expected a condition on lesion_id"),
        ("diameter_mm > 500", "no accepted lesion matches"),
    ):
        with pytest.raises(UserError, match=match):
            merge_banks([manifest], tmp_path / "manifest.parquet", query)
    assert not (tmp_path / "manifest.parquet").exists()
    rows = read_table(other, MANIFEST)
    write_table(rows.assign(parent_hash="another"), tmp_path / "other" / "manifest.parquet", MANIFEST)
    with pytest.raises(UserError, match="painted on different volumes of case-0"):
        merge_banks([manifest, tmp_path / "other" / "manifest.parquet"], tmp_path / "manifest.parquet")
