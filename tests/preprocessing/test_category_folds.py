"""Folds of a classification: every category in every fold and part, patients never split."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freetumor.core.errors import UserError
from freetumor.core.tables import VOLUMES, make_table
from freetumor.preprocessing.folds import make_cases, make_fold
from tests.preprocessing.test_folds import volume
from tests.regions import CATEGORIES, region_config


def study(folds=3, **cohort):
    sources = [{"name": "own", "kind": "folder", "images": "*"}]
    return region_config(sources=sources, cohort={"folds": folds, **cohort})


def lesion(index, category, patient="", **changes):
    return volume(f"{category}{index}", patient, organs="liver", category=category, **changes)


def lesions(*counts, **changes):
    return [lesion(k, name, **changes) for name, count in zip(CATEGORIES, counts, strict=True) for k in range(count)]


def tables_of(rows, config):
    cases = make_cases(config, make_table(rows, VOLUMES))
    return cases, [make_fold(config, cases, fold) for fold in range(config.cohort.folds)]


@settings(max_examples=30, deadline=None)
@given(
    counts=st.tuples(*[st.integers(6, 25)] * 3),
    folds=st.integers(2, 3),
    share=st.sampled_from([0.1, 0.25, 0.5]),
    limit=st.none() | st.integers(3, 9),
)
def test_every_fold_and_part_holds_its_share_of_every_category(counts, folds, share, limit):
    config = study(folds, validation=share, labeled_limit=limit)
    cases, tables = tables_of(lesions(*counts), config)
    sizes = cases["fold"].value_counts()
    assert sizes.max() - sizes.min() <= 1
    for name, count in zip(CATEGORIES, counts, strict=True):
        tested = [(table["part"].eq("test") & table["category"].eq(name)).sum() for table in tables]
        assert sum(tested) == count
        assert max(tested) - min(tested) <= 1
        for table, left in zip(tables, (count - number for number in tested), strict=True):
            mine = table[table["category"] == name]
            checked = (mine["part"] == "validation").sum()
            assert checked == max(1, round(share * left))
            assert (mine["part"] == "train").sum() >= 1
            if not limit:
                assert (mine["part"] == "train").sum() == left - checked
    for table in tables:
        if limit:
            assert (table["part"] == "train").sum() <= limit
            shown = table.loc[table["part"] == "train", "category"].value_counts()
            assert set(table.loc[table["part"] == "pool", "category"]) <= {""}
            assert not table.loc[table["part"] == "pool", "labeled"].any()
            assert len(shown) == 3


def test_the_lesions_of_a_patient_stay_together_whatever_their_categories():
    rows = lesions(9, 9, 9)
    rows += [lesion(90 + k, name, f"both{k}") for k in range(6) for name in CATEGORIES[1:]]
    config = study()
    for table in tables_of(rows, config)[1]:
        assert (table.groupby("patient_id")["part"].nunique() == 1).all()
        assert set(table.loc[table["part"] == "validation", "category"]) == set(CATEGORIES)


def test_a_category_of_another_study_is_left_out():
    rows = [*lesions(6, 6, 6), lesion(0, "adenoma"), volume("x", organs="liver", category="")]
    cases = make_cases(study(), make_table(rows, VOLUMES)).set_index("case_id")
    assert cases.loc["adenoma0", "excluded_because"] == "none of the categories of the study"
    assert cases.loc["x", "excluded_because"] == "none of the categories of the study"
    assert (cases["excluded_because"] == "").sum() == 18


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (lesions(6, 6, 0), "categories: no labeled development case is of the category hemangioma"),
        (lesions(6, 0, 0), "categories: no labeled development case is of the category metastasis or hemangioma"),
        (lesions(6, 6, 1), "categories: fold . leaves no patient with the category 'hemangioma' to train on"),
    ],
)
def test_a_category_without_cases_is_one_line_for_the_user(rows, message):
    with pytest.raises(UserError, match=message) as caught:
        tables_of(rows, study())
    assert "\n" not in str(caught.value)


def test_a_fold_without_anything_to_validate_on_is_refused():
    with pytest.raises(UserError, match="leaves one labeled patient per category, and none to validate on"):
        tables_of(lesions(2, 2, 2), study(folds=2))


def test_categories_mean_nothing_to_a_segmentation():
    from tests.preprocessing.test_folds import study as segmentation
    from tests.preprocessing.test_folds import usual

    plain = make_cases(segmentation(), make_table(usual(), VOLUMES))
    named = make_cases(segmentation(), make_table([row | {"category": row["case_id"]} for row in usual()], VOLUMES))
    assert plain["fold"].tolist() == named["fold"].tolist()
    for fold in range(3):
        parts = [make_fold(segmentation(), cases, fold)["part"].tolist() for cases in (plain, named)]
        assert parts[0] == parts[1]
