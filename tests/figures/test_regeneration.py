"""Figures come out the same from the tables alone: in another folder, time zone and year, and without torch or volumes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from freetumor.core import settings
from freetumor.figures.fragments import FACTS, Caption, read_caption, write_caption
from tests.conftest import REPOSITORY
from tests.figures.made_config import INPUTS

# Runs all plots as a person would, one script after the other, then says which modules it took.
CODE = """
import json, runpy, sys
for script, *arguments in json.load(sys.stdin):
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")
print(json.dumps(sorted(sys.modules)))
"""
HEAVY = ("torch", "monai", "blosc2", "SimpleITK", "nibabel", "snakemake")
ELSEWHERE = {"TZ": "Pacific/Kiritimati", "SOURCE_DATE_EPOCH": "86400", "LC_ALL": "C", "MPLBACKEND": "tkagg"}


@pytest.fixture(scope="module")
def again(study, tmp_path_factory):
    """All figures drawn by their scripts in another folder that holds nothing but tables and sheets; and the modules taken."""
    folder = tmp_path_factory.mktemp("elsewhere")
    tables = folder / "tables"
    commands = []
    for name in INPUTS:
        arguments = []
        for flag, paths in study.inputs(name).items():
            copies = [tables / path.relative_to(study.folder) for path in paths]
            for path, copy in zip(paths, copies, strict=True):
                copy.parent.mkdir(parents=True, exist_ok=True)
                for suffix in {path.suffix, ".npz"} if path.parent.name == "sheets" else {path.suffix}:
                    shutil.copy(path.with_suffix(suffix), copy.with_suffix(suffix))
            arguments += [f"--{flag}", *map(str, copies)]
        output = folder / "figures" / f"{name}.png"
        config = ["--config", str(folder / "config.yaml"), "--output", str(output)]
        commands.append([str(REPOSITORY / "scripts" / f"plot_{name}.py"), *config, *arguments])
    settings.save(study.config, folder / "config.yaml")
    (folder / "matplotlibrc").write_text("font.size: 20\nsavefig.dpi: 50\n")  # somebody's own settings
    environment = os.environ | ELSEWHERE | {"PYTHONPATH": str(REPOSITORY / "scripts"), "MATPLOTLIBRC": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", CODE], input=json.dumps(commands), capture_output=True, text=True, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stderr
    return folder / "figures", json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", INPUTS)
def test_figures_have_the_same_bytes_elsewhere(drawn, again, name):
    for suffix in (".png", ".pdf", ".csv", ".md"):
        first, second = ((folder / f"{name}{suffix}").read_bytes() for folder in (drawn, again[0]))
        assert first == second, suffix


def test_drawing_takes_no_network_and_no_volume(again):
    assert not [name for name in again[1] if name.split(".")[0] in HEAVY]


@pytest.mark.parametrize("name", INPUTS)
def test_every_caption_has_all_facts(drawn, name):
    words = read_caption(drawn / f"{name}.md")
    assert words.title.endswith(".")
    for field in FACTS:
        assert getattr(words, field), field
    if words.test.startswith("two-sided"):
        assert words.sides == "two-sided"
        assert "Holm" in words.correction
    assert any(letter.isdigit() for letter in words.n)


def test_a_study_draws_only_what_has_a_script(study):
    scripts = {path.stem.removeprefix("plot_") for path in Path(REPOSITORY, "scripts").glob("plot_*.py")}
    assert set(study.config.figures) <= scripts


def test_a_caption_survives_the_file(tmp_path):
    words = Caption("A | b.", "Text with | bars\nand lines.", "Picture.", "3 cases", "case", "t test", "two-sided", "none")
    write_caption(words, tmp_path / "a.md")
    found = read_caption(tmp_path / "a.md")
    assert found == Caption(
        "A | b.", "Text with | bars and lines.", "Picture.", "3 cases", "case", "t test", "two-sided", "none"
    )


def test_a_caption_without_a_fact_is_refused(tmp_path):
    with pytest.raises(ValueError, match="caption without n"):
        write_caption(Caption("A.", "", "Picture.", "", "case"), tmp_path / "a.md")
