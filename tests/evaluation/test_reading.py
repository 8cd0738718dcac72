"""A reader study: closed forms, readers who know and readers who guess, what is left out is said, and mistakes of the user."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from freetumor.core.config import Reading
from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.core.tables import read_table
from freetumor.evaluation.reading import READING, format_reading, score_reading
from freetumor.evaluation.statistics.multireader import components, single_arm
from freetumor.evaluation.statistics.roc import auc, delong
from tests.factory import small_config

CATEGORIES = ("liver", "kidney")


def study_config(tmp_path, **changes):
    config = small_config()
    reading = Reading(answers=str(tmp_path / "answers.csv"), key=str(tmp_path / "key.csv"), **changes)
    return config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"reading": reading})})


def make_key(cards=40, crude=0, repeats=0, practice=0):
    """A key of half real and half synthetic cards, in turn; crude fakes, repeats and practice cards at the end."""
    kinds = ["real", "synthetic"] * (cards // 2) + ["crude"] * crude + ["practice"] * practice
    rows = [(f"{place:03d}.png", CATEGORIES[place // 2 % 2], kind, f"origin-{place}") for place, kind in enumerate(kinds)]
    rows += [(f"r{place:02d}.png", *rows[place][1:]) for place in range(repeats)]
    return pd.DataFrame(rows, columns=["file", "category", "kind", "origin"])


def make_answers(key, readers=5, skill=0.0, name="test"):
    """Ratings of readers who see the truth with some skill; the same image gets about the same answer."""
    rng = generator("reading", name)
    pull = {origin: rng.normal(0, 0.6) for origin in sorted(set(key["origin"]))}
    rows = []
    for reader in range(readers):
        lean = rng.normal(0, 0.3)
        for row in key.itertuples():
            strength = skill * (row.kind != "real") + pull[row.origin] + lean + rng.normal()
            rating = 6 if row.kind == "crude" else 1 + int(np.digitize(strength - skill / 2, [-1.2, -0.5, 0, 0.5, 1.2]))
            rows.append((f"reader {reader}", row.file, rating))
    return pd.DataFrame(rows, columns=["reader", "case", "rating"])


def analyze(tmp_path, key, answers, **changes):
    """Write both tables, analyze them, and return the rows by reader, category and statistic."""
    key.to_csv(tmp_path / "key.csv", index=False)
    answers.to_csv(tmp_path / "answers.csv", index=False)
    config = study_config(tmp_path, **changes)
    table = score_reading(config, tmp_path / "answers.csv", tmp_path / "key.csv", tmp_path / "reading.csv")
    pd.testing.assert_frame_equal(table, read_table(tmp_path / "reading.csv", READING))
    return table.set_index(["reader", "category", "statistic"]).sort_index()


def ratings_of(key, answers):
    wide = answers.pivot(index="reader", columns="case", values="rating")[list(key["file"])]
    return (key["kind"] == "synthetic").to_numpy(), wide.to_numpy(float)


def test_the_mean_area_is_that_of_the_single_arm_analysis(tmp_path):
    key = make_key()
    answers = make_answers(key, skill=0.8)
    row = analyze(tmp_path, key, answers).loc["mean", "", "auc"]
    truth, ratings = ratings_of(key, answers)
    areas, covariance = delong(truth, ratings)
    expected = single_arm(areas, components(covariance, 1))
    assert row["value"] == pytest.approx(np.mean([auc(truth, reader) for reader in ratings]))
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(expected.interval(0.95))
    assert row["p"] == pytest.approx(expected.test(0.5))
    assert (row["readers"], row["n"], row["note"]) == (5, 40, "")


def test_readers_who_see_it_are_not_called_equivalent_to_guessing(tmp_path):
    key = make_key(cards=80)
    rows = analyze(tmp_path, key, make_answers(key, 6, skill=2.0))
    row = rows.loc["mean", "", "equivalence"]
    assert rows.loc[("mean", "", "auc"), "p"] < 0.01 and row["p"] > 0.9
    assert row["note"] == "equivalence to 0.5 plus or minus 0.1 not shown; yet not 0.5"
    assert rows.loc[("mean", "", "d_prime"), "value"] > 1


def guessed(key, readers):
    """Answers that have nothing to do with the cards."""
    draws = generator("guess", readers, len(key)).integers(1, 7, (readers, len(key)))
    rows = [
        (f"reader {reader}", file, draws[reader, place]) for reader in range(readers) for place, file in enumerate(key["file"])
    ]
    return pd.DataFrame(rows, columns=["reader", "case", "rating"])


def test_readers_who_guess_are_equivalent_if_the_study_is_large_and_nothing_is_shown_if_it_is_small(tmp_path):
    large, small = make_key(cards=240), make_key(cards=24)
    row = analyze(tmp_path, large, guessed(large, 8)).loc["mean", "", "equivalence"]
    assert row["p"] < 0.05
    assert row["note"].startswith("equivalent to 0.5 plus or minus 0.1; no crude fakes in the deck")
    assert row["ci_low"] > 0.4 and row["ci_high"] < 0.6
    row = analyze(tmp_path, small, guessed(small, 3)).loc["mean", "", "equivalence"]
    assert row["p"] > 0.05
    assert row["note"] == "equivalence to 0.5 plus or minus 0.1 not shown"


def test_a_wider_margin_is_easier_to_meet(tmp_path):
    key = make_key(cards=60)
    answers = guessed(key, 4)
    wide, narrow = (
        analyze(tmp_path, key, answers, margin=margin).loc[("mean", "", "equivalence"), "p"] for margin in (0.3, 0.02)
    )
    assert wide < 0.05 < narrow


def test_equivalence_is_not_claimed_by_readers_who_miss_crude_fakes(tmp_path):
    key = make_key(cards=240, crude=10)
    answers = guessed(key[key["kind"] != "crude"], 8)
    crude = [(reader, file) for reader in sorted(set(answers["reader"])) for file in key.loc[key["kind"] == "crude", "file"]]
    seen = pd.DataFrame([(*pair, 5) for pair in crude], columns=answers.columns)
    rows = analyze(tmp_path, key, pd.concat([answers, seen]))
    assert rows.loc[("all", "", "crude_caught"), "value"] == 1
    note = rows.loc[("mean", "", "equivalence"), "note"]
    assert note == "equivalent to 0.5 plus or minus 0.1; 100 % of the crude fakes were caught"
    assert rows.loc[("mean", "", "auc"), "n"] == 240
    missed = seen.assign(rating=[2 if place % 2 else 5 for place in range(len(seen))])
    rows = analyze(tmp_path, key, pd.concat([answers, missed]))
    assert rows.loc[("reader 0", "", "crude_caught"), "value"] == 0.5
    note = rows.loc[("mean", "", "equivalence"), "note"]
    assert note == "equivalence not claimed: 50 % of the crude fakes were caught, fewer than 80 %"


def test_single_readers_have_the_shares_of_their_answers(tmp_path):
    """8 of 10 synthetic and 7 of 10 real cards are called what they are."""
    key = make_key(cards=20)
    said = {"synthetic": [6, 4, 5, 4, 6, 5, 4, 4, 3, 1], "real": [1, 2, 3, 3, 2, 1, 3, 4, 6, 5]}
    rows = [("ann", file, r) for kind in said for file, r in zip(key.loc[key["kind"] == kind, "file"], said[kind], strict=True)]
    rows = analyze(tmp_path, key, pd.DataFrame(rows, columns=["reader", "case", "rating"]))
    ann = rows.loc["ann", ""]
    assert ann.loc[["sensitivity", "specificity", "accuracy"], "value"].tolist() == [0.8, 0.7, 0.75]
    assert (ann.loc["sensitivity", "ci_low"], ann.loc["sensitivity", "ci_high"]) == pytest.approx((0.4902, 0.9433), abs=5e-5)
    z = stats.norm.ppf([8.5 / 11, 3.5 / 11])
    assert ann.loc["d_prime", "value"] == pytest.approx(z[0] - z[1])
    assert ann.loc["criterion", "value"] == pytest.approx(-(z[0] + z[1]) / 2)
    area = rows.loc["mean", "", "auc"]
    assert area["test"] == "cases random, this reader only" and area["value"] == pytest.approx(ann.loc["auc", "value"])
    assert "fleiss_kappa" not in rows.loc["all", ""].index


def test_the_pooled_test_of_a_published_study_and_what_the_paper_made_of_it(tmp_path):
    """Park et al. 2021: ten readers, 300 images, 1781 of 3000 right, specificity 779 of 1500, "p = .29".

    That p compares with 750 of 1500 as if they had been observed; against the constant one half it is .1411.
    """
    from statsmodels.stats.proportion import proportions_ztest

    key = make_key(cards=300)
    right = {"real": 779, "synthetic": 1781 - 779}
    rows = []
    for kind, count in right.items():
        answers = [
            (f"reader {place % 10}", file) for place, file in enumerate(np.repeat(key.loc[key["kind"] == kind, "file"], 10))
        ]
        says = {"real": (1, 6), "synthetic": (6, 1)}[kind]
        rows += [(*answer, says[place >= count]) for place, answer in enumerate(answers)]
    found = analyze(tmp_path, key, pd.DataFrame(rows, columns=["reader", "case", "rating"])).loc["all", ""]
    assert found.loc["accuracy_pooled", "value"] == pytest.approx(1781 / 3000) and found.loc["accuracy_pooled", "n"] == 3000
    assert found.loc["specificity_pooled", "value"] == pytest.approx(779 / 1500)
    assert round(found.loc["specificity_pooled", "p"], 4) == 0.1411
    assert "takes all answers as independent" in found.loc["specificity_pooled", "test"]
    z, p = proportions_ztest([779, 750], [1500, 1500])
    assert (round(z, 4), round(p, 4)) == (1.0591, 0.2895)


def test_hidden_repeats_are_compared_and_do_not_count_twice(tmp_path):
    key = make_key(cards=40, repeats=8)
    answers = make_answers(key, skill=0.5)
    rows = analyze(tmp_path, key, answers)
    assert rows.loc[("mean", "", "auc"), "n"] == 40
    assert rows.loc[("all", "", "repeats_alike"), "n"] == 40 and rows.loc[("reader 1", "", "repeats_alike"), "n"] == 8
    wide = answers.pivot(index="reader", columns="case", values="rating") >= 4
    shown = [wide.loc["reader 1", [f"{prefix}{n:0{digits}d}.png" for n in range(8)]] for prefix, digits in (("", 3), ("r", 2))]
    alike = shown[0].to_numpy() == shown[1].to_numpy()
    assert rows.loc[("reader 1", "", "repeats_alike"), "value"] == alike.mean()
    copied = answers.copy()
    for n in range(8):
        first = copied[copied["case"] == f"{n:03d}.png"].set_index("reader")["rating"]
        repeat = copied["case"] == f"r{n:02d}.png"
        copied.loc[repeat, "rating"] = copied.loc[repeat, "reader"].map(first)
    assert analyze(tmp_path, key, copied).loc[("all", "", "repeats_kappa"), "value"] == 1


def test_practice_cards_do_not_count(tmp_path):
    key = make_key(cards=40, practice=6)
    answers = make_answers(key)
    with_practice = analyze(tmp_path, key, answers)
    without = analyze(tmp_path, make_key(cards=40), answers[answers["case"].isin(make_key(cards=40)["file"])])
    pd.testing.assert_frame_equal(with_practice, without)


def test_each_category_is_a_row(tmp_path):
    key = make_key(cards=60)
    rows = analyze(tmp_path, key, make_answers(key, skill=1.0))
    truth, ratings = ratings_of(key, make_answers(key, skill=1.0))
    liver = (key["category"] == "liver").to_numpy()
    row = rows.loc["mean", "liver", "auc"]
    assert row["value"] == pytest.approx(np.mean([auc(truth[liver], reader[liver]) for reader in ratings]))
    assert row["n"] == liver.sum()


def test_readers_who_stopped_early_are_named_and_the_others_are_averaged_on_what_all_answered(tmp_path):
    key = make_key(cards=40)
    answers = make_answers(key, skill=0.5)
    stopped = answers[(answers["reader"] != "reader 4") | (answers["case"] < "010.png")]
    stopped = stopped[(stopped["reader"] != "reader 2") | (stopped["case"] < "036.png")]
    rows = analyze(tmp_path, key, stopped)
    row = rows.loc["mean", "", "auc"]
    assert (row["readers"], row["n"]) == (4, 36)
    assert row["note"] == (
        "without reader 4, who answered fewer than half of the cards; "
        "on 36 of 40 cards, those that every averaged reader answered"
    )
    assert rows.loc[("reader 4", "", "accuracy"), "note"] == "answered 10 of 40 cards"
    assert rows.loc[("reader 2", "", "accuracy"), "n"] == 36
    assert rows.loc[("reader 0", "", "accuracy"), "note"] == ""
    blank = answers.astype({"rating": "str"})
    for reader, last in (("reader 4", 10), ("reader 2", 36)):
        blank.loc[(blank["reader"] == reader) & (blank["case"] >= f"{last:03d}.png"), "rating"] = ""
    pd.testing.assert_frame_equal(analyze(tmp_path, key, blank), rows)


def test_a_reader_without_any_answer_is_still_listed(tmp_path):
    key = make_key(cards=20)
    answers = make_answers(key, 3).astype({"rating": "str"})
    answers.loc[answers["reader"] == "reader 0", "rating"] = ""
    rows = analyze(tmp_path, key, answers)
    assert rows.loc[("reader 0", "", "accuracy"), ["n", "note"]].tolist() == [0, "answered 0 of 20 cards"]
    assert "without reader 0" in rows.loc[("mean", "", "auc"), "note"]


def test_answers_to_one_kind_only_are_too_few(tmp_path):
    key = make_key(cards=20)
    real = set(key.loc[key["kind"] == "real", "file"])
    answers = make_answers(key, 3)
    rows = analyze(tmp_path, key, answers[answers["case"].isin(real)])
    assert math.isnan(rows.loc[("mean", "", "auc"), "value"])
    assert rows.loc[("mean", "", "auc"), "note"].endswith("too few answers to real or to synthetic cards")


def test_an_unbalanced_deck_is_named(tmp_path):
    key = pd.concat([make_key(cards=40), make_key(cards=80).iloc[40::2]])
    rows = analyze(tmp_path, key, make_answers(key))
    assert rows.loc[("all", "", "accuracy_pooled"), "note"] == "always answering 'real' is right in 66.7 %"


def test_times_are_described_where_they_were_taken(tmp_path):
    key = make_key(cards=20)
    answers = make_answers(key, 2)
    assert "seconds" not in analyze(tmp_path, key, answers).index.get_level_values("statistic")
    answers["seconds"] = [str(place % 20) if place % 20 else "" for place in range(len(answers))]
    row = analyze(tmp_path, key, answers).loc["reader 1", "", "seconds"]
    assert (row["value"], row["n"]) == (10, 19)


def test_what_the_form_of_the_deck_saves_is_read(tmp_path):
    """The form knows real or synthetic only, calls the card a file, and leaves unanswered cards empty."""
    key = make_key(cards=20)
    answers = make_answers(key, 3, skill=1.0)
    says = np.where(answers["rating"] >= 4, "synthetic", "real")
    form = pd.DataFrame({"reader": answers["reader"], "file": answers["case"], "category": "liver", "kind": says})
    rows = analyze(tmp_path, key, form)
    binary = analyze(tmp_path, key, answers.assign(rating=np.where(answers["rating"] >= 4, 6, 1)))
    pd.testing.assert_frame_equal(rows, binary)
    reader = rows.loc["reader 0", ""]["value"]
    assert reader["auc"] == pytest.approx((reader["sensitivity"] + reader["specificity"]) / 2)


def test_the_same_bytes_every_time(tmp_path):
    key = make_key(repeats=4, crude=3)
    answers = make_answers(key)
    analyze(tmp_path, key, answers)
    before = (tmp_path / "reading.csv").read_bytes()
    analyze(tmp_path, key, answers.sample(frac=1, random_state=1))
    assert (tmp_path / "reading.csv").read_bytes() == before


def test_the_summary_names_every_reader_and_the_verdict(tmp_path):
    key = make_key()
    rows = analyze(tmp_path, key, make_answers(key))
    text = format_reading(rows.reset_index())
    assert all(f"reader {number}  0." in text for number in range(5))
    assert "equivalence to 0.5 plus or minus 0.1" in text or "equivalent to" in text


MISTAKES = {
    "unknown case": (
        {"case": "x.png"},
        r"answers\.csv: reader 'reader 0', case 'x\.png': expected a card of the key, .*key\.csv",
    ),
    "rating of 7": ({"rating": "7"}, r"case '000\.png': expected a rating from 1 \(surely real\) to 6, got '7'"),
    "rating of 2.5": ({"rating": "2.5"}, r"expected a rating from 1 \(surely real\) to 6, got '2\.5'"),
    "rating in words": ({"rating": "maybe"}, r"expected a rating .*, got 'maybe'"),
    "two answers": ({"case": "001.png"}, r"reader 'reader 0', case '001\.png': expected one answer, found two or more"),
    "no reader": ({"reader": " "}, r"reader '': an answer without a reader"),
    "a reader called mean": ({"reader": "mean"}, r"reader 'mean': reserved"),
    "a negative time": ({"seconds": "-3"}, r"seconds: expected a time or nothing, got '-3'"),
}


@pytest.mark.parametrize(("change", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_the_answers_is_one_line(tmp_path, change, message):
    key = make_key(cards=8)
    answers = make_answers(key, 2).astype(str).assign(seconds="")
    answers.loc[0, list(change)] = list(change.values())
    with pytest.raises(UserError, match=message) as caught:
        analyze(tmp_path, key, answers)
    assert "\n" not in str(caught.value)


def test_tables_that_do_not_fit_are_refused(tmp_path):
    key, config = make_key(cards=8), study_config(tmp_path)
    answers = make_answers(key, 2)
    with pytest.raises(UserError, match=r"expected the columns reader, case, rating; missing: rating"):
        analyze(tmp_path, key, answers.drop(columns="rating"))
    with pytest.raises(UserError, match=r"answers\.csv: expected answers, found none"):
        analyze(tmp_path, key, answers.iloc[:0])
    with pytest.raises(UserError, match=r"key\.csv: card '000\.png' is in the key twice"):
        analyze(tmp_path, pd.concat([key, key.iloc[:1]]), answers)
    with pytest.raises(UserError, match=r"kind of '000\.png': expected real, synthetic, crude, practice, got 'fake'"):
        analyze(tmp_path, key.assign(kind="fake"), answers)
    analyze(tmp_path, key, answers)
    with pytest.raises(UserError, match=r"nowhere\.csv: expected a table of answers"):
        score_reading(config, tmp_path / "nowhere.csv", tmp_path / "key.csv", tmp_path / "reading.csv")
    with pytest.raises(UserError, match=r"evaluation\.reading: expected `answers` and `key`"):
        score_reading(small_config(), None, None, tmp_path / "reading.csv")
