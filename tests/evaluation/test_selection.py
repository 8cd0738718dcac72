"""Choosing an arm: nested selections never see a test case, optimistic ones pick the best and look too good."""

import numpy as np
import pandas as pd
import pytest

from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.core.tables import SCORES, make_table, read_table
from freetumor.evaluation.selection import SELECTIONS, select_arms, with_selections
from tests.classification import classification_config, merged_scores
from tests.factory import small_config

CANDIDATES = ["classic_100", "dcgan_10", "dcgan_30"]


def made_scores(config, accuracies, cases=30, key="made"):
    """Accuracy rows of test and validation cases: ``accuracies[split, fold, arm]`` or else 0.5, as luck falls."""
    rows = []
    for fold in config.folds:
        for split in ("development", "validation"):
            for arm in config.recognition.arms:
                share = accuracies.get((split, fold, arm), 0.5)
                for seed in config.recognition.seeds:
                    right = generator(key, split, fold, arm, seed).random(cases) < share
                    rows += [
                        {"case_id": f"{fold}-{number}", "patient_id": f"{fold}-{number}", "source": "made", "split": split,
                         "fold": fold, "arm": arm, "seed": seed, "structure": "all", "metric": "accuracy", "value": float(hit)}
                        for number, hit in enumerate(right)
                    ]  # fmt: skip
    return make_table(rows, SCORES)


def chosen(selections, name):
    here = selections[(selections["selection"] == name) & selections["chosen"]]
    return dict(zip(here["fold"], here["candidate"], strict=True))


def test_nested_selection_takes_the_best_of_each_fold_by_its_validation_cases():
    config = classification_config()
    best = {0: "dcgan_10", 1: "classic_100", 2: "dcgan_30"}
    scores = made_scores(config, {("validation", fold, arm): 1.0 for fold, arm in best.items()})
    selections = select_arms(config, scores)
    assert chosen(selections, "dcgan_nested") == best
    values = selections[(selections["selection"] == "dcgan_nested") & (selections["fold"] == 1)].set_index("candidate")["value"]
    seen = scores[(scores["split"] == "validation") & (scores["fold"] == 1)].groupby("arm")["value"].mean()
    np.testing.assert_allclose(values, seen[CANDIDATES])


def test_nested_selection_does_not_look_at_test_cases():
    config = classification_config()
    scores = made_scores(config, {})
    test = scores["split"] == "development"
    changed = scores.assign(value=scores["value"].where(~test, 1 - scores["value"]))
    first, second = (select_arms(config, table) for table in (scores, changed))
    nested = first["selection"] == "dcgan_nested"
    pd.testing.assert_frame_equal(first[nested], second[nested])
    assert not first[~nested].equals(second[~nested])
    pd.testing.assert_frame_equal(first[nested], select_arms(config, scores[~test | (scores["arm"] != "acgan_30")])[nested])


def test_optimistic_selection_takes_the_best_of_all_test_cases_for_every_fold():
    config = classification_config()
    scores = made_scores(config, {("development", fold, "dcgan_30"): 0.95 for fold in range(3)})
    selections = select_arms(config, scores)
    assert chosen(selections, "dcgan_optimistic") == dict.fromkeys(range(3), "dcgan_30")
    pooled = scores[scores["split"] == "development"].groupby("arm")["value"].mean()
    here = selections[(selections["selection"] == "dcgan_optimistic") & (selections["fold"] == 0)]
    np.testing.assert_allclose(here["value"], pooled[CANDIDATES])


def test_of_equals_the_first_candidate_is_chosen():
    config = classification_config()
    scores = made_scores(config, {}).assign(value=1.0)
    selections = select_arms(config, scores)
    assert set(selections.loc[selections["chosen"], "candidate"]) == {"classic_100"}


def test_equal_arms_look_better_chosen_on_the_test_cases_than_in_the_training_folds():
    """No arm is better than another: the nested choice stays at the truth on average, the optimistic one rises above it."""
    config = classification_config()
    found = {"dcgan_nested": [], "dcgan_optimistic": []}
    for study in range(60):
        scores = made_scores(config, {}, cases=8, key=f"study {study}")
        merged = with_selections(scores, select_arms(config, scores))
        test = merged[merged["split"] == "development"].groupby("arm")["value"].mean()
        assert test["dcgan_optimistic"] == test[CANDIDATES].max()
        for name, values in found.items():
            values.append(test[name])
    error = np.std(found["dcgan_nested"], ddof=1) / np.sqrt(60)
    assert abs(np.mean(found["dcgan_nested"]) - 0.5) < 3 * error
    assert np.mean(found["dcgan_optimistic"]) - 0.5 > 3 * error


def test_a_selection_has_the_scores_and_lesions_of_what_it_chose(tmp_path):
    config = classification_config()
    paths = merged_scores(config, tmp_path, cases=24)
    selections = read_table(paths["selections"], SELECTIONS)
    for name in ("scores", "lesions"):
        table = read_table(paths[name])
        for fold, arm in chosen(selections, "dcgan_nested").items():
            parts = [table[(table["arm"] == which) & (table["fold"] == fold)] for which in ("dcgan_nested", arm)]
            first, second = (part.drop(columns="arm").reset_index(drop=True) for part in parts)
            assert len(first)
            pd.testing.assert_frame_equal(first, second)


def test_a_lower_error_is_better():
    raw = small_config().model_dump(mode="json")
    selection = {"s": {"candidates": ["real", "constant"], "by": "test"}}
    config = small_config(evaluation=raw["evaluation"] | {"primary": ["hd95"], "selections": selection})
    keys = {"source": "made", "split": "development", "seed": 1, "structure": "tumor", "metric": "hd95"}
    rows = [
        keys | {"case_id": f"c{fold}", "patient_id": f"c{fold}", "fold": fold, "arm": arm, "value": value}
        for fold in range(3)
        for arm, value in (("real", 9.0), ("constant", 4.0))
    ]
    assert set(chosen(select_arms(config, make_table(rows, SCORES)), "s").values()) == {"constant"}


def test_without_selections_the_table_is_empty_and_nothing_is_added():
    config = classification_config(evaluation={"primary": ["accuracy"]})
    scores = made_scores(config, {}, cases=2)
    selections = select_arms(config, scores)
    assert selections.empty and list(selections) == list(SELECTIONS.columns)
    assert with_selections(scores, selections) is scores


def test_mistakes_are_named():
    config = classification_config()
    scores = made_scores(config, {}, cases=2)
    unseen = scores[~((scores["split"] == "validation") & (scores["fold"] == 1))]
    with pytest.raises(UserError, match=r"selections\.dcgan_nested: 'classic_100' has no scores of validation cases in fold 1"):
        select_arms(config, unseen)
    raw = config.model_dump(mode="json")["evaluation"]
    with pytest.raises(
        UserError, match=r"evaluation\.primary: selections need a metric of cases as the first entry, got 'dice'"
    ):
        select_arms(classification_config(evaluation=raw | {"primary": ["dice"]}), scores)
