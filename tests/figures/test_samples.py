"""The sheet of images and the measures beside it: the same bytes on every run, and tables that hold what is drawn."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from freetumor.core import settings
from freetumor.core.tables import FOLD_CASES, MANIFEST, make_table, read_table, write_table
from freetumor.evaluation.fidelity_table import FIDELITY
from freetumor.evaluation.sheets.samples import collect_samples, sample_rows
from freetumor.evaluation.sheets.tables import EXAMPLES
from freetumor.figures.fidelity import plot_fidelity
from freetumor.figures.samples import plot_samples
from freetumor.synthesis.bank import read_image
from freetumor.synthesizer.regions import open_regions, plain
from tests.conftest import REPOSITORY
from tests.factory import EMPTY_ROW, bank_image
from tests.regions import CATEGORIES, make_region, make_region_fold, region_config


@pytest.fixture(scope="module")
def config():
    return region_config(synthesis={"synthesizers": ["acgan", "dcgan"]})


@pytest.fixture(scope="module")
def table(config, tmp_path_factory):
    return make_region_fold(tmp_path_factory.mktemp("regions"), config, {"train": 12, "test": 2})


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    """Banks of two synthesizers; the second has three images per category, fewer than the sheet has columns."""
    paths = []
    for name, count in (("dcgan", 14), ("acgan", 3)):
        folder, rows = tmp_path_factory.mktemp(name), []
        for index, category in enumerate(CATEGORIES):
            for draw in range(count):
                row = EMPTY_ROW | {"lesion_id": f"{category}.{draw}", "organ": category, "draw": draw, "synthesizer": name}
                rows.append(row | bank_image(folder, f"{category}.{draw}", make_region(index, 50 + draw, 16, 16)))
        paths.append(folder / "manifest.parquet")
        write_table(make_table(rows, MANIFEST), paths[-1], MANIFEST)
    return paths


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Measures of two folds and two synthesizers."""
    folder, paths, value = tmp_path_factory.mktemp("fidelity"), [], 0.1
    measures = ("recognition", "similarity", "kernel_distance", "neighbor_distance", "copies")
    for fold in (0, 1):
        for name in ("dcgan", "acgan"):
            rows = []
            for category in CATEGORIES:
                for measure in measures:
                    value = (value * 1.7) % 0.9
                    row = {"fold": fold, "synthesizer": name, "category": category, "measure": measure, "value": value}
                    row |= {"ci_low": value - 0.05, "ci_high": value + 0.05, "reference": 0.6, "n_real": 20}
                    bounds = np.nan if measure == "copies" else 0.55
                    rows.append(row | {"reference_low": bounds, "reference_high": bounds + 0.1, "n_synthetic": 100})
            paths.append(folder / f"{fold}{name}.csv")
            write_table(make_table(rows, FIDELITY), paths[-1], FIDELITY)
    return paths


@pytest.fixture(scope="module")
def sheet(config, table, manifests, tmp_path_factory):
    output = tmp_path_factory.mktemp("sheets") / "samples.csv"
    collect_samples(config, table, manifests, output)
    return output


@pytest.fixture(scope="module")
def drawn(config, sheet, tables, tmp_path_factory):
    """A folder with both figures, drawn once."""
    folder = tmp_path_factory.mktemp("figures")
    plot_samples(config, sheet, folder / "samples.png")
    plot_fidelity(config, tables, folder / "fidelity.png")
    return folder


def test_the_scripts_draw_the_same_bytes_again(config, sheet, tables, drawn, tmp_path):
    settings.save(config, tmp_path / "config.yaml")
    flags = {"samples": ["--samples", sheet], "fidelity": ["--tables", *tables]}
    for which, inputs in flags.items():
        command = [sys.executable, REPOSITORY / "scripts" / f"plot_{which}.py", "--config", tmp_path / "config.yaml", *inputs]
        subprocess.run([*map(str, command), "--output", str(tmp_path / f"{which}.png")], check=True, capture_output=True)
        for suffix in (".png", ".pdf", ".csv"):
            first, second = ((folder / f"{which}{suffix}").read_bytes() for folder in (drawn, tmp_path))
            assert first == second, suffix


def test_rows_are_categories_with_real_images_first(config, table, manifests):
    rows = sample_rows(config, table, manifests)
    kinds = ["real", "acgan", "dcgan"]  # in the order of the banks of the study
    assert [(row.category, row.kind) for row in rows] == [(category, kind) for category in CATEGORIES for kind in kinds]
    assert {kind: {len(row.images) for row in rows if row.kind == kind} for kind in kinds} == {
        "real": {EXAMPLES},
        "acgan": {3},
        "dcgan": {EXAMPLES},
    }


def test_the_table_names_the_images_that_are_shown(config, table, manifests, drawn):
    numbers = pd.read_csv(drawn / "samples.csv")
    regions = {region.case_id: region for region in open_regions(read_table(table, FOLD_CASES), config, "train")}
    made = read_table(manifests[0], MANIFEST).set_index("lesion_id", drop=False)
    for row in numbers[numbers["kind"] == "real"].itertuples():
        assert config.categories[regions[row.image].category] == row.category  # a training case
        assert row.mean_hu == pytest.approx(plain(regions[row.image], config).mean(), rel=1e-5)
    for row in numbers[numbers["kind"] == "dcgan"].itertuples():
        assert row.image.startswith(row.category)
        assert row.mean_hu == pytest.approx(read_image(manifests[0], made.loc[row.image]).mean())
    assert not numbers.duplicated(["category", "kind", "image"]).any()


def test_the_measures_are_written_with_their_means_over_folds(drawn):
    numbers = pd.read_csv(drawn / "fidelity.csv")
    keys = ["synthesizer", "category", "measure"]
    single = numbers[numbers["fold"] != "mean"].groupby(keys)["value"]
    means = numbers[numbers["fold"] == "mean"].set_index(keys)["value"]
    assert len(means) == 2 * 3 * 5
    pd.testing.assert_series_equal(single.mean().sort_index(), means.sort_index())
    assert (single.size() == 2).all()
