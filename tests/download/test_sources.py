"""From a configured source to its table."""

import subprocess
import sys
from pathlib import Path

import pytest

from freetumor.core.config import Config, FolderSource, PhantomSource
from freetumor.core.errors import UserError
from freetumor.core.tables import RAW_CASES, read_table
from freetumor.download.sources import check_source, download_source

REPOSITORY = Path(__file__).resolve().parents[2]


def study(*sources):
    return Config(
        study="s",
        organs=["liver"],
        preset="p",
        presets={"p": {"spacing": (3, 3, 3), "window": (-175, 250), "patch": (32, 32, 32)}},
        sources=list(sources),
        arms={"real": {}},
        recognition={"arms": ["real"]},
    )


def test_a_folder_source_becomes_a_table_and_nothing_is_copied(tmp_path):
    (tmp_path / "ct").mkdir()
    (tmp_path / "ct" / "a.nii.gz").write_bytes(b"not read")
    source = FolderSource(name="mine", kind="folder", root=str(tmp_path), images="ct/*.nii.gz")
    output = tmp_path / "results" / "data" / "mine" / "cases.csv"
    download_source(study(source), "mine", output)
    table = read_table(output, RAW_CASES)
    assert table["case_id"].tolist() == ["a"]
    assert table["labeled"].tolist() == [False]
    assert [path.name for path in output.parent.iterdir()] == ["cases.csv"]


def test_an_unknown_source_is_named_with_the_known_ones(tmp_path):
    source = PhantomSource(name="made", kind="phantom")
    with pytest.raises(UserError, match="'mine' is not the name of a source; known are made"):
        download_source(study(source), "mine", tmp_path / "cases.csv")


def test_a_phantom_without_cases_and_a_folder_that_is_not_there_are_refused():
    with pytest.raises(UserError, match=r"sources\.made: .* at least one case"):
        check_source(PhantomSource(name="made", kind="phantom", labeled=0, tumor_free=0, unlabeled=0))
    with pytest.raises(UserError, match=r"sources\.mine\.root"):
        check_source(FolderSource(name="mine", kind="folder", root="/does/not/exist", images="*"))
    check_source(PhantomSource(name="made", kind="phantom"))


def test_checking_sources_loads_nothing_heavy():
    """The Snakefile checks sources while it parses."""
    code = (
        "import sys; from freetumor.download.sources import check_source;"
        "from freetumor.core.config import FolderSource;"
        "check_source(FolderSource(name='x', kind='folder', root='.', images='*'));"
        "print([name for name in ('numpy', 'pandas', 'scipy', 'torch', 'SimpleITK', 'nibabel') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY / "scripts")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_the_script_explains_itself_and_reports_a_mistake_in_one_line(tmp_path):
    script = [sys.executable, str(REPOSITORY / "scripts" / "download_source.py")]
    text = subprocess.run([*script, "--help"], capture_output=True, text=True, check=True).stdout
    assert "--workers" in text
    assert "(CSV)" in text
    arguments = ["--config", "missing.yaml", "--source", "x", "--output", str(tmp_path / "cases.csv")]
    done = subprocess.run([*script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "missing.yaml" in done.stderr
    assert len(done.stderr.splitlines()) == 1
