"""Folds are by patient, balanced and leak-free, whatever the cohort looks like."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.tables import CASES, DUPLICATES, FOLD_CASES, QUARANTINE, VOLUMES, make_table, read_table, write_table
from freetumor.download import catalog
from freetumor.preprocessing.duplicates import Pair, find_pairs
from freetumor.preprocessing.folds import assign_folds, declared_overlaps, make_cases, make_fold
from freetumor.preprocessing.patients import check_sides, compare_overlaps, describe_pairs, find_components
from tests.factory import small_config


def random_fingerprint(key: int) -> str:
    """A fingerprint unlike all others."""
    return np.random.default_rng(key).integers(60, 200, 12**3).astype(np.uint8).tobytes().hex()


def volume(case_id: str, patient: str = "", source: str = "own", labeled: bool = True, **changes: str) -> dict:
    """A row of volumes with the organs of the small study, and a liver tumor."""
    key = int.from_bytes(case_id.encode(), "little")
    row = dict.fromkeys(VOLUMES.columns, "")
    row |= {
        "case_id": case_id,
        "patient_id": patient or case_id,
        "source": source,
        "labeled": labeled,
        "names": json.dumps({"1": "liver", "2": "liver_tumor", "3": "pancreas", "4": "pancreas_tumor"}),
        "organs": "liver,pancreas",
        "tumors": "liver_tumor" if labeled else "",
        "tumor_ml": 1.0 if labeled else 0.0,
        "diameter_mm": float("nan"),
        "voxel_hash": case_id,
        "fingerprint": random_fingerprint(key),
    }
    return row | changes


def study(folds: int = 3, **cohort: object) -> Config:
    sources = [
        {"name": "own", "kind": "folder", "images": "*"},
        {"name": "second", "kind": "folder", "images": "*"},
        {"name": "other", "kind": "folder", "images": "*", "split": "external"},
    ]
    return small_config(sources=sources, cohort={"folds": folds, **cohort})


def cases_of(rows: list[dict], config: Config | None = None) -> pd.DataFrame:
    """The table of all cases, by case id."""
    return make_cases(config or study(), make_table(rows, VOLUMES)).set_index("case_id")


def usual() -> list[dict]:
    """Twelve labeled patients (two tumor-free), four unlabeled, two external."""
    tumors = ["liver_tumor", "pancreas_tumor", "liver_tumor,pancreas_tumor", "liver_tumor", "liver_tumor"] * 2 + ["", ""]
    return [
        *(volume(f"a{index:02d}", tumors=text) for index, text in enumerate(tumors)),
        *(volume(f"u{index}", labeled=False) for index in range(4)),
        *(volume(f"x{index}", source="other") for index in range(2)),
    ]


COHORTS = st.lists(
    st.tuples(
        st.integers(0, 15),  # patient
        st.sampled_from(["", "liver_tumor", "pancreas_tumor", "liver_tumor,pancreas_tumor"]),
        st.sampled_from(["labeled", "labeled", "labeled", "unlabeled", "external"]),
    ),
    min_size=8,
    max_size=30,
)


def union(texts: pd.Series) -> str:
    """All names in comma-separated lists, as one list."""
    return ",".join(sorted(set(",".join(texts).split(",")) - {""}))


@settings(max_examples=30, deadline=None)
@given(cohort=COHORTS, folds=st.integers(2, 4), limit=st.none() | st.integers(1, 3), random=st.randoms())
def test_patients_are_never_split_and_folds_are_balanced(cohort, folds, limit, random):
    rows = []
    for index, (patient, tumors, role) in enumerate(cohort):
        source, labeled = ("other" if role == "external" else "own"), role != "unlabeled"
        rows.append(volume(f"c{index}", f"{source}{patient}", source, labeled, tumors=tumors if labeled else ""))
    config = study(folds, labeled_limit=limit)
    try:
        cases = make_cases(config, make_table(rows, VOLUMES))
        tables = {fold: make_fold(config, cases, fold) for fold in range(folds)}
    except UserError:
        assume(False)
    random.shuffle(rows)
    pd.testing.assert_frame_equal(make_cases(config, make_table(rows, VOLUMES)), cases)

    development = cases[cases["split"] == "development"]
    patients = development.groupby("patient_id")["fold"].agg(["nunique", "first"])
    assert (patients["nunique"] == 1).all()
    sizes = patients["first"].value_counts().reindex(range(folds), fill_value=0)
    assert sizes.max() - sizes.min() <= 1
    sick = development.groupby("patient_id")["tumors"].agg(
        lambda texts: ",".join(sorted(set(",".join(texts).split(",")) - {""}))
    )
    for _, group in patients.groupby(sick):
        counts = group["first"].value_counts().reindex(range(folds), fill_value=0)
        assert counts.max() - counts.min() <= 1
    assert (cases.loc[cases["split"] != "development", "fold"] == -1).all()

    tested = [table.loc[(table["part"] == "test") & (table["split"] == "development"), "case_id"] for table in tables.values()]
    assert sorted(pd.concat(tested)) == sorted(development["case_id"])
    for fold, table in tables.items():
        assert table["case_id"].is_unique
        parts = table.groupby("patient_id")["part"].agg(set)
        assert all(len(found - {"pool"}) <= 1 for found in parts)
        held_out = {name for name, found in parts.items() if found & {"test", "validation"}}
        assert not held_out & set(table.loc[table["part"].isin(["train", "pool"]), "patient_id"])
        assert set(table.loc[table["split"] == "external", "part"]) <= {"test"}
        assert (table.loc[table["part"] == "test", "fold"].isin([fold, -1])).all()
        assert table.loc[table["part"] != "pool", "labeled"].all()
        assert not table.loc[table["part"] == "pool", "labeled"].any()
        assert not table.loc[table["part"] == "pool", "tumors"].any()
        assert table.loc[table["part"] == "validation", "tumors"].any()
        training = table[(table["part"] == "train") & (table["tumors"] != "")]
        assert 1 <= training["patient_id"].nunique() <= (limit or 99)


def test_the_limit_keeps_an_example_of_every_tumor():
    rows = [volume(f"a{index:02d}") for index in range(20)]
    rows += [volume(f"b{index}", tumors="pancreas_tumor") for index in range(3)]
    config = study(labeled_limit=2)
    cases = make_cases(config, make_table(rows, VOLUMES))
    for fold in range(3):
        table = make_fold(config, cases, fold)
        train = table[table["part"] == "train"]
        assert sorted(train["tumors"]) == ["liver_tumor", "pancreas_tumor"]
        assert len(table) == len(rows)  # nobody is lost


def test_the_seed_changes_the_folds_and_nothing_else_does():
    first = cases_of(usual())["fold"]
    pd.testing.assert_series_equal(cases_of(list(reversed(usual())))["fold"], first)
    config = study().model_copy(update={"seed": 1})
    assert not cases_of(usual(), config)["fold"].equals(first)


def test_external_wins_over_development_and_labeled_over_unlabeled():
    rows = usual()
    rows[0] |= {"voxel_hash": "same as x0"}
    rows[-2] |= {"voxel_hash": "same as x0"}  # x0
    rows[12] |= {"voxel_hash": "a03"}  # u0 is a copy of a03
    rows[5] |= {"fingerprint": rows[4]["fingerprint"]}  # a05 is nearly a04
    cases = cases_of(rows)
    assert cases.loc["a00", "excluded_because"] == "duplicate of x0"
    assert cases.loc["u0", "excluded_because"] == "duplicate of a03"
    assert cases.loc["a05", "excluded_because"] == "duplicate of a04"
    assert cases.loc["a00", "patient_id"] == cases.loc["x0", "patient_id"]
    assert cases.loc["a04", "patient_id"] == cases.loc["a05", "patient_id"]
    assert (cases["excluded_because"] != "").sum() == 3
    assert cases.loc["a00", "fold"] == -1


def test_other_scans_of_an_external_patient_are_left_out():
    rows = usual()
    rows[0] |= {"patient_id": "twin", "voxel_hash": "x0"}
    rows[1] |= {"patient_id": "twin"}
    cases = cases_of(rows)
    assert cases.loc["a00", "excluded_because"] == "duplicate of x0"
    assert cases.loc["a01", "excluded_because"] == "same patient as external case x0"


def test_equal_patient_ids_of_two_sources_are_two_patients():
    rows = [*usual(), volume("b00", "a00", source="second")]
    cases = cases_of(rows)
    assert cases.loc["a00", "patient_id"] == "own:a00"
    assert cases.loc["b00", "patient_id"] == "second:a00"
    assert cases.loc["a01", "patient_id"] == "a01"


def test_unlabeled_scans_of_a_tested_patient_stay_out_of_the_pool():
    rows = usual() + [volume(f"v{index:02d}", f"a{index:02d}", labeled=False) for index in range(12)]
    config = study()
    cases = make_cases(config, make_table(rows, VOLUMES))
    for fold in range(3):
        table = make_fold(config, cases, fold).set_index("case_id")
        held_out = set(table.loc[table["part"].isin(["test", "validation"]), "patient_id"])
        present = {f"v{index:02d}" for index in range(12) if f"a{index:02d}" not in held_out}
        assert present == {name for name in table.index if name.startswith("v")}


def test_cases_without_any_organ_of_the_study_are_left_out():
    rows = [*usual(), volume("w0", organs="spleen", tumors="spleen_tumor"), volume("w1", source="other", labeled=False)]
    cases = cases_of(rows)
    assert cases.loc["w0", "excluded_because"] == "none of the organs of the study"
    assert cases.loc["w1", "excluded_because"] == "external case without tumor labels"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [*rows, volume("a00", source="second")], "case id 'a00' occurs more than once"),
        (lambda rows: [row | {"organs": "liver"} for row in rows], "organs: 'pancreas' is labeled in no case"),
        (lambda rows: [row | {"tumors": ""} for row in rows], "no labeled development case has a tumor"),
        (lambda rows: [row | {"labeled": False, "tumors": ""} for row in rows], "no case with annotated tumors"),
        (lambda rows: rows[:2], "cohort.folds: 3 folds, but only 2 labeled patients"),
        (lambda rows: [row | ({"tumors": ""} if row["case_id"] != "a00" else {}) for row in rows], "patients with tumors"),
    ],
)
def test_hopeless_cohorts_are_one_line_for_the_user(tmp_path, change, message):
    write_table(make_table(change(usual()), VOLUMES), tmp_path / "volumes.parquet", VOLUMES)
    write_table(make_table([], QUARANTINE), tmp_path / "q.tsv", QUARANTINE)
    folds = {fold: tmp_path / f"fold{fold}.parquet" for fold in range(3)}
    with pytest.raises(UserError, match=message) as caught:
        assign_folds(
            study(), [tmp_path / "volumes.parquet"], [tmp_path / "q.tsv"], tmp_path / "c.parquet", tmp_path / "o.tsv", folds
        )
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "c.parquet").exists()


def test_the_tables_are_written_with_the_same_bytes_for_any_order_of_sources(tmp_path):
    own = make_table([row for row in usual() if row["source"] == "own"], VOLUMES)
    other = make_table([row for row in usual() if row["source"] == "other"], VOLUMES)
    refused = make_table(
        [{"case_id": "z", "stage": "preprocessing", "code": "spacing", "path": "p", "reason": "r"}], QUARANTINE
    )
    for name, table in (("own", own), ("other", other)):
        write_table(table, tmp_path / f"{name}.parquet", VOLUMES)
        write_table(refused if name == "own" else refused[:0], tmp_path / f"{name}.tsv", QUARANTINE)
    contents = []
    for names in (("own", "other"), ("other", "own")):
        out = tmp_path / names[0]
        volumes, quarantines = ([tmp_path / f"{name}{suffix}" for name in names] for suffix in (".parquet", ".tsv"))
        assign_folds(
            study(), volumes, quarantines, out / "cases.parquet", out / "q.tsv", {1: out / "fold1.parquet"}, out / "d.csv"
        )
        contents.append([(out / file).read_bytes() for file in ("cases.parquet", "q.tsv", "fold1.parquet", "d.csv")])
    assert contents[0] == contents[1]
    assert len(read_table(tmp_path / "own/cases.parquet", CASES)) == len(usual())
    assert set(read_table(tmp_path / "own/fold1.parquet", FOLD_CASES)["part"]) == {"train", "validation", "test", "pool"}
    assert read_table(tmp_path / "own/q.tsv", QUARANTINE)["code"].tolist() == ["spacing"]


def test_pairs_say_where_both_cases_went():
    rows = usual()
    rows[0] |= {"voxel_hash": rows[-1]["voxel_hash"]}  # a00 is the external x1
    rows[5] |= {"fingerprint": rows[4]["fingerprint"]}  # a05 is nearly a04
    volumes = make_table(rows, VOLUMES).sort_values("case_id", ignore_index=True)
    pairs = find_pairs(volumes)
    cases = make_cases(study(), volumes, pairs)
    table = make_table(describe_pairs(cases, pairs), DUPLICATES).set_index("case_id")
    assert table[["other_case_id", "kind"]].to_numpy().tolist() == [["x1", "exact"], ["a05", "near"]]
    assert table.loc["a00", ["outcome", "other_outcome"]].tolist() == ["duplicate of x1", "external"]
    assert table.loc["a04", "outcome"].startswith("development, fold ")
    assert table.loc["a04", "other_outcome"] == "duplicate of a04"
    assert table.loc["a04", "patient_id"] == cases.set_index("case_id").loc["a05", "patient_id"]


def test_parts_of_one_scan_stay_on_one_side_and_none_is_dropped():
    volumes = make_table(usual(), VOLUMES).sort_values("case_id", ignore_index=True)
    ids = volumes["case_id"].tolist()
    pairs = [Pair(ids.index("a01"), ids.index("u0"), "part", 0.98), Pair(ids.index("a02"), ids.index("a03"), "part", 0.97)]
    cases = make_cases(study(), volumes, pairs)
    found = cases.set_index("case_id")
    assert (found["excluded_because"] == "").all()
    assert found.loc["a02", "fold"] == found.loc["a03", "fold"]
    components = dict(zip(ids, find_components(volumes, pairs), strict=True))
    folds = {fold: make_fold(study(), cases, fold) for fold in range(3)}
    check_sides(components, folds)
    tested = folds[found.loc["a01", "fold"]]
    assert "u0" not in set(tested["case_id"])


@pytest.mark.parametrize("parts", [("train", "test"), ("pool", "test"), ("validation", "train"), ("validation", "test")])
def test_a_component_on_two_sides_stops_everything(parts):
    table = pd.DataFrame({"case_id": ["one", "two"], "part": list(parts)})
    check_sides({"one": 0, "two": 1}, {0: table})
    with pytest.raises(AssertionError, match="fold 0: two is in"):
        check_sides({"one": 0, "two": 0}, {0: table})


def test_a_study_knows_the_overlaps_that_the_catalog_declares_between_its_sources():
    public = [{"name": name, "kind": "public", "entry": entry} for name, entry in (("a", "lits"), ("b", "abdomenct1k"))]
    assert frozenset(("lits", "abdomenct1k")) in catalog.declared_overlaps()
    config = small_config(sources=[*public, {"name": "made", "kind": "phantom", "labeled": 4}])
    assert declared_overlaps(config) == {"a": {"b"}, "b": {"a"}}
    assert declared_overlaps(small_config()) == {}


def test_declared_overlaps_are_set_beside_those_found():
    pairs = [Pair(0, 1, "exact", 1.0), Pair(0, 3, "part", 0.97), Pair(4, 5, "near", 0.99)]
    sources = ["b", "a", "a", "c", "d", "d"]
    table = compare_overlaps(pairs, sources, {"a": ["b", "elsewhere"], "c": ["a"]})
    expected = [["a", "b", True, 1], ["a", "c", True, 0], ["b", "c", False, 1], ["d", "d", False, 1]]
    assert table.to_numpy().tolist() == expected
    assert list(table.columns) == ["source", "other", "declared", "found"]
    assert compare_overlaps([], ["a"], {}).empty
