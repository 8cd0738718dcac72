"""The figures and the report of a classification, from a small made-up study."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from freetumor.core import settings
from freetumor.core.seeding import generator
from freetumor.core.tables import CASES, HISTORY, QUARANTINE, SUMMARY, make_table, read_table, write_table
from freetumor.evaluation.claims import compare_claims
from freetumor.evaluation.classification import CLASSIFICATION, analyze_classification
from freetumor.evaluation.comparisons import analyze
from freetumor.evaluation.curves import CURVES
from freetumor.evaluation.selection import SELECTIONS
from freetumor.evaluation.sheets.cohort import collect_cohort, example_cases
from freetumor.figures.cohort import plot_cohort
from freetumor.figures.confusion import plot_confusion
from freetumor.figures.curves import plot_curves
from freetumor.figures.differences import plot_differences
from freetumor.figures.highlights import highlighted
from freetumor.figures.overview import plot_overview
from freetumor.figures.report import build_report
from freetumor.figures.sizes import plot_sizes
from freetumor.figures.training import plot_training
from freetumor.figures.trainings import plot_seeds
from freetumor.preprocessing.store import write_array
from tests.classification import CATEGORIES, GAINS, classification_config, merged_scores
from tests.conftest import REPOSITORY
from tests.figures.made_config import Study
from tests.figures.test_report import Page
from tests.regions import CONTEXT, FIT, make_region

CASE_COUNT = 60

FIGURES = {
    "overview": lambda s, path: plot_overview(s.config, s.paths["cases"], s.paths["scores"], path),
    "seeds": lambda s, path: plot_seeds(s.config, s.paths["scores"], s.paths["lesions"], path),
    "cohort": lambda s, path: plot_cohort(s.config, s.paths["cases"], s.paths["quarantine"], s.paths["examples"], path),
    "training": lambda s, path: plot_training(s.config, s.histories, path),
    "differences": lambda s, path: plot_differences(s.config, s.paths["scores"], s.paths["lesions"], s.paths["summary"], path),
    "curves": lambda s, path: plot_curves(s.config, s.paths["curves"], s.paths["selections"], path),
    "confusion": lambda s, path: plot_confusion(s.config, s.paths["confusion"], path),
    "sizes": lambda s, path: plot_sizes(s.config, s.paths["sizes"], path),
}


def make_cases(study: Study) -> None:
    """Regions of three categories, a lesion in the middle of each."""
    side, rows = round(32 * CONTEXT / FIT), []
    distance = np.hypot(*(np.indices((side, side)) - (side - 1) / 2))
    label = np.where(distance < 32 / FIT / 2, 2, 1).astype(np.uint8)[None]
    for number in range(CASE_COUNT):
        category = number // 3 % 3
        stem = f"lesion-{number:03d}"
        diameter = float(generator("made", "diameter", number).uniform(10, 100))
        image = np.rint(make_region(category, number, side, 32)).astype(np.int16)[None]
        write_array(study.folder / f"{stem}.image.b2nd", image)
        write_array(study.folder / f"{stem}.label.b2nd", label)
        spacing = json.dumps([5.0, diameter * FIT / 32, diameter * FIT / 32])
        rows.append(
            dict.fromkeys(CASES.columns, "")
            | {"case_id": stem, "patient_id": f"p{number:03d}", "source": "made", "labeled": True, "split": "development"}
            | {"category": CATEGORIES[category], "diameter_mm": diameter, "tumor_ml": 1.0, "fold": number % 3}
            | {"image": f"{stem}.image.b2nd", "label": f"{stem}.label.b2nd", "names": '{"1": "liver", "2": "liver_tumor"}'}
            | {"spacing": spacing, "native_spacing": "[5.0, 0.7, 0.7]", "organs": "liver", "tumors": "liver_tumor"}
        )
    write_table(make_table(rows, CASES), study.paths["cases"], CASES)
    write_table(make_table([], QUARANTINE), study.paths["quarantine"], QUARANTINE)


def make_histories(study: Study) -> None:
    """Histories of the generators and of the recognizers; no segmenter."""
    steps = np.arange(10, 401, 10)
    curves = {f"synthesizer/{name}": ("loss_generator", "loss_discriminator", "real_found_real") for name in ("dcgan", "acgan")}
    curves |= {f"recognition/{arm}/seed{seed}": ("loss", "validation_accuracy") for arm in GAINS for seed in (1, 2)}
    for fold in (0, 1):
        for place, names in curves.items():
            rows = [
                {"step": int(step), "name": name, "value": float(np.exp(-step / 200) + generator(place, fold).normal(0, 0.1))}
                for name in names
                for step in steps
            ]
            path = study.folder / f"fold{fold}" / place / "history.csv"
            write_table(make_table(rows, HISTORY), path, HISTORY)
            study.histories.append(path)


def make_study(folder: Path, cases: int = CASE_COUNT) -> Study:
    """All inputs of the figures and of the report."""
    config = classification_config()
    study = Study(folder, config, merged_scores(config, folder, cases))
    names = ("summary", "sizes", "arms", "classification", "confusion", "curves", "claims")
    study.paths |= {name: folder / f"{name}.csv" for name in names}
    study.paths |= {"cases": folder / "cases.parquet", "quarantine": folder / "quarantine.tsv"}
    analyze(config, study.paths["scores"], study.paths["lesions"], *(study.paths[name] for name in names[:3]))
    analyze_classification(config, study.paths["scores"], *(study.paths[name] for name in names[3:6]))
    published = REPOSITORY / "studies" / "claims" / "fridadar2018.csv"
    compare_claims(config, published, *(study.paths[name] for name in ("summary", "claims", "classification")))
    make_cases(study)
    study.paths["examples"] = folder / "sheets" / "cohort.csv"
    collect_cohort(config, study.paths["cases"], study.paths["examples"])
    make_histories(study)
    return study


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Study:
    """The made-up study, made once."""
    return make_study(tmp_path_factory.mktemp("regions"))


@pytest.fixture(scope="module")
def drawn(made, tmp_path_factory) -> Path:
    """A folder with all figures, drawn once."""
    folder = tmp_path_factory.mktemp("figures")
    for name, draw in FIGURES.items():
        draw(made, folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def page(made, drawn, tmp_path_factory) -> Page:
    """The report."""
    output = tmp_path_factory.mktemp("report") / "report.html"
    write_report(made, drawn, output)
    return Page(output.read_text(encoding="utf-8"))


def write_report(study: Study, figures: Path, output: Path) -> None:
    paths = {name: study.paths[name] for name in ("summary", "arms", "sizes", "cases", "quarantine")}
    paths |= {name: study.paths[name] for name in ("classification", "claims")}
    build_report(study.config, figures=[figures / f"{name}.png" for name in FIGURES], output=output, **paths)


@pytest.mark.parametrize("name", FIGURES)
def test_a_second_run_gives_the_same_bytes(made, drawn, tmp_path, name):
    FIGURES[name](made, tmp_path / f"{name}.png")
    for suffix in (".png", ".pdf", ".csv"):
        assert (drawn / f"{name}{suffix}").read_bytes() == (tmp_path / f"{name}{suffix}").read_bytes(), suffix


def test_the_cohort_counts_categories_and_draws_every_diameter(made, drawn):
    table, cases = pd.read_csv(drawn / "cohort.csv"), read_table(made.paths["cases"], CASES)
    counts = table[table["panel"] == "cases"].set_index("group")["value"]
    assert counts.to_dict() == cases["category"].value_counts().to_dict()
    written = table[table["panel"] == "diameter_mm"].set_index("case_id")["value"]
    np.testing.assert_allclose(written.sort_index(), cases.set_index("case_id")["diameter_mm"].sort_index())


def test_there_is_an_example_of_each_category_of_median_size(made):
    cases = read_table(made.paths["cases"], CASES)
    examples = example_cases(made.config, cases)
    assert [case["category"] for case in examples] == CATEGORIES
    for case in examples:
        sizes = np.sort(cases.loc[cases["category"] == case["category"], "diameter_mm"])
        assert case["diameter_mm"] == sizes[len(sizes) // 2]


def test_a_selection_lies_at_the_mean_number_of_samples_it_chose(made, drawn):
    table = pd.read_csv(drawn / "curves.csv").set_index("arm")
    added = read_table(made.paths["curves"], CURVES).set_index("arm")["added"]
    chosen = read_table(made.paths["selections"], SELECTIONS).query("chosen")
    for name, here in chosen.groupby("selection"):
        assert table.loc[name, "added"] == pytest.approx(added[here["candidate"]].mean())
    assert table.loc["classic_0", "added"] == 0 and table.loc["dcgan_30", "added"] == 100 + 3 * 30


def test_matrices_hold_all_test_cases_and_their_rows_are_whole(made, drawn):
    table = pd.read_csv(drawn / "confusion.csv")
    assert list(dict.fromkeys(table["arm"])) and set(table["arm"]) == set(highlighted(made.config))
    assert table.groupby("arm")["count"].sum().eq(CASE_COUNT).all()
    np.testing.assert_allclose(table.groupby(["arm", "true"])["share"].sum(), 1)


def test_highlighted_are_the_baseline_the_ends_and_the_selections():
    config = classification_config()
    assert highlighted(config) == ["classic_100", "classic_0", "dcgan_30", "dcgan_nested", "dcgan_optimistic"]


def test_of_many_arms_only_the_highlighted_are_drawn_by_size(made, tmp_path):
    raw = made.config.model_dump(mode="json")
    raw["arms"] |= {f"more_{number}": {"group": number} for number in range(1, 9)}
    raw["recognition"]["arms"] += [f"more_{number}" for number in range(1, 9)]
    config = classification_config(arms=raw["arms"], recognition=raw["recognition"])
    sizes = pd.read_csv(made.paths["sizes"])
    one = sizes[sizes["arm"] == "classic_0"]
    many = pd.concat([sizes, *(one.assign(arm=f"more_{number}") for number in range(1, 9))])
    write_table(many, tmp_path / "sizes.csv")
    plot_sizes(config, tmp_path / "sizes.csv", tmp_path / "out.png")
    assert set(pd.read_csv(tmp_path / "out.csv")["arm"]) <= set(highlighted(config))


def test_the_report_says_what_was_chosen_and_how_lucky_it_was(made, page):
    rates = read_table(made.paths["classification"], CLASSIFICATION)
    optimism = rates[rates["metric"] == "optimism"].iloc[0]
    assert f"dcgan_optimistic looks +{optimism['value']:.3f} better than dcgan_nested".replace("-", "−") in page.text
    assert "chosen on the very test cases that are reported" in page.text
    accuracy = rates[(rates["arm"] == "dcgan_30") & (rates["seed"] == "mean") & (rates["metric"] == "accuracy")].iloc[0]
    assert f"{accuracy['value']:.3f}{accuracy['ci_low']:.3f} to {accuracy['ci_high']:.3f}" in page.text


def test_the_report_keeps_private_and_own_numbers_apart(page):
    assert "Claimed and reproduced" in page.text
    assert "private, 182 lesions" in page.text and f"this study, {CASE_COUNT} lesions made in code" in page.text
    assert "phantoms made in code" in page.text
    assert "published on: private, 182 lesions" in page.text and "Measured on" in page.words


def test_the_report_describes_the_arms_by_what_they_add(page):
    for words in ("Classic samples", "Synthetic samples, all categories", "acgan", "classified correctly", "categories"):
        assert words in page.text
    for words in ("Painted share", "False alarms", "any tumor"):
        assert words not in page.text


def test_equal_steps_are_claimed_only_where_they_are_equal(made, drawn, tmp_path):
    write_report(made, drawn, tmp_path / "steps.html")
    assert "for 400 steps on the same real images" in Page((tmp_path / "steps.html").read_text()).text
    raw = made.config.model_dump(mode="json")["recognition"]
    raw["training"] |= {"epochs": 150}
    changed = Study(made.folder, classification_config(recognition=raw), made.paths)
    write_report(changed, drawn, tmp_path / "epochs.html")
    text = Page((tmp_path / "epochs.html").read_text()).text
    assert "for 150 epochs" in text and "arms with more samples trained for more steps" in text and "400 steps" not in text


def test_tables_of_no_classification_give_figures_that_say_so(made, tmp_path):
    for name, schema in (("curves", CURVES), ("selections", SELECTIONS), ("summary", SUMMARY)):
        write_table(make_table([], schema), tmp_path / f"{name}.csv", schema)
    write_table(pd.read_csv(made.paths["confusion"]).iloc[:0], tmp_path / "confusion.csv")
    plot_curves(made.config, tmp_path / "curves.csv", tmp_path / "selections.csv", tmp_path / "a.png")
    plot_confusion(made.config, tmp_path / "confusion.csv", tmp_path / "b.png")
    assert (tmp_path / "a.png").exists() and (tmp_path / "b.png").exists()


def test_scripts_draw_what_the_library_draws(made, drawn, tmp_path):
    import subprocess
    import sys

    settings.save(made.config, tmp_path / "config.yaml")
    command = [sys.executable, REPOSITORY / "scripts" / "plot_confusion.py", "--config", tmp_path / "config.yaml"]
    command += ["--confusion", made.paths["confusion"], "--output", tmp_path / "confusion.png"]
    subprocess.run(list(map(str, command)), check=True)
    assert (tmp_path / "confusion.png").read_bytes() == (drawn / "confusion.png").read_bytes()
