"""The documentation keeps its promises: links resolve, examples are valid, headers are complete, commands exist."""

import itertools
import re

import pytest
import yaml

from freetumor.core import settings
from freetumor.core.config import DEFECTS, Arm, Config
from tests.conftest import REPOSITORY

BASE = REPOSITORY / "config.yaml"
PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])
STUDIES = sorted(REPOSITORY.glob("studies/*.yaml"))
HEADER = ["Reproduces", "Command", "Hardware", "Time", "Disk", "Scores"]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def name_of(path):
    return path.relative_to(REPOSITORY).as_posix()


def anchors(page):
    """Anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def examples(language):
    """Fenced blocks of a language in all pages that are written by hand: (page, number, text)."""
    for page in PAGES:
        if "reference" not in page.parts:
            blocks = [text for found, text in FENCE.findall(page.read_text(encoding="utf-8")) if found == language]
            yield from ((page, number, text) for number, text in enumerate(blocks, 1))


def overlay(text):
    """The configuration that a study file with this text gives."""
    return settings.validate(settings.merge(settings.read_yaml(BASE), yaml.safe_load(text)))


YAML_EXAMPLES = [pytest.param(text, id=f"{name_of(page)}-{number}") for page, number, text in examples("yaml")]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_to_a_file_and_to_a_heading(page):
    for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} does not exist"
        assert not anchor or anchor in anchors(file), f"{target}: no such heading"


def test_every_page_can_be_reached_from_the_readme():
    seen, todo = set(), [REPOSITORY / "README.md"]
    while todo:
        page = todo.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        targets = LINK.findall(page.read_text(encoding="utf-8"))
        todo += [(page.parent / target.partition("#")[0]).resolve() for target in targets if not re.match(r"[a-z]+:|#", target)]
    assert [name_of(page) for page in PAGES if page not in seen] == []


def test_the_readme_is_short():
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("study", STUDIES, ids=name_of)
def test_every_study_says_what_it_reproduces_needs_and_scores(study):
    text = study.read_text(encoding="utf-8")
    header = "".join(itertools.takewhile(lambda line: line.startswith("#"), text.splitlines(keepends=True)))
    found = re.findall(r"^# ([A-Z][a-z]+)  +(\S.*)$", header, re.MULTILINE)
    assert [key for key, _ in found if key in HEADER] == HEADER
    assert f"make run STUDY={study.stem}" in dict(found)["Command"]


@pytest.mark.parametrize("study", STUDIES, ids=name_of)
def test_every_study_is_a_valid_configuration_named_after_its_file(study):
    assert settings.load(BASE, study).study == study.stem


@pytest.mark.parametrize("text", YAML_EXAMPLES)
def test_every_example_is_a_valid_overlay_of_the_default_study(text):
    assert isinstance(overlay(text), Config)


def test_a_wrong_key_in_an_example_would_be_found():
    with pytest.raises(settings.UserError, match="labels"):
        overlay("sources: [{name: a, kind: folder, images: '*.nii', label: '*.nii'}]")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_names_a_target_and_a_study_that_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    rules = set(re.findall(r"^rule (\w+):", (REPOSITORY / "Snakefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    commands = re.findall(r"^(?:    | {0,3}[^\n]*`)(make [^\n`#]+|\.venv/bin/snakemake [^\n`#]+)", text, re.MULTILINE)
    taught = re.findall(r"^study: (\w+)$", "\n".join(block for _, _, block in examples("yaml")), re.MULTILINE)
    for command in commands:
        words = command.split()
        for study in re.findall(r"(?:STUDY=|studies/)(\w+)", command):
            assert study in {path.stem for path in STUDIES} | set(taught) | {"mine"}, f"{command}: no such study"
        if words[0] == "make":
            assert words[1] in targets, f"{command}: no such target"
        elif re.fullmatch(r"[a-z]+", words[-1]):
            assert words[-1] in rules, f"{command}: no such target"


def test_every_defect_is_listed_among_the_differences():
    text = (REPOSITORY / "docs" / "differences.md").read_text(encoding="utf-8")
    for switch in [*DEFECTS, "cutmix: independent_axes"]:
        assert f"`{switch}`" in text, switch
    assert Arm(cutmix="independent_axes")
    numbers = [int(number) for number in re.findall(r"^\| (\d+) \|", text.partition("## Where paper")[0], re.MULTILINE)]
    assert numbers == list(range(1, 20))


def test_the_arms_of_as_published_differ_from_the_corrected_method_in_one_switch():
    config = settings.load(BASE, REPOSITORY / "studies" / "as_published.yaml")
    baseline, *others = config.recognition.arms
    corrected = config.synthesizers[config.arms[baseline].synthesizer]
    assert not any(corrected.has(defect) for defect in DEFECTS)
    switched = []
    for name in others:
        synthesizer = config.synthesizers[config.arms[name].synthesizer]
        plain = {"mode": "corrected", "defects": {}}
        assert synthesizer.model_copy(update=plain) == corrected.model_copy(update=plain), name
        on = [defect for defect in DEFECTS if synthesizer.has(defect)]
        on += ["cutmix"] if config.arms[name].cutmix == "independent_axes" else []
        others_equal = config.arms[name].model_copy(update={"synthesizer": None, "cutmix": "consistent"})
        assert others_equal == config.arms[baseline].model_copy(update={"synthesizer": None}), name
        switched.append(on)
    assert sorted(switched, key=len)[-1] == [*DEFECTS, "cutmix"]
    assert sorted(on[0] for on in switched if len(on) == 1) == sorted([*DEFECTS, "cutmix"])


def test_the_gpus_of_a_study_divide_its_batches():
    for study in STUDIES:
        config = settings.load(BASE, study)
        trainings = [config.segmenter.training, config.recognition.training]
        trainings += [config.synthesizers[name].painter.training for name in config.used_synthesizers]
        assert all(training.batch % config.compute.gpus_per_job == 0 for training in trainings), name_of(study)


def test_the_citation_names_the_project_and_the_paper():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    assert citation["cff-version"] == "1.2.0"
    assert citation["authors"] == [{"name": "The FreeTumor workflow developers"}]
    assert f'version = "{citation["version"]}"' in project
    assert f'license = "{citation["license"]}"' in project
    assert [reference["doi"] for reference in citation["references"]] == ["10.1038/s41467-025-66071-6"]


def test_the_license_is_the_text_of_apache_2():
    import hashlib

    digest = hashlib.sha256((REPOSITORY / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"  # the file that apache.org offers


@pytest.mark.parametrize("path", [".pre-commit-config.yaml", ".github/workflows/ci.yaml"])
def test_the_files_of_continuous_integration_are_yaml(path):
    assert yaml.safe_load((REPOSITORY / path).read_text(encoding="utf-8"))


def test_pre_commit_hooks_download_nothing():
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert {repository["repo"] for repository in hooks["repos"]} == {"local"}
    assert {hook["language"] for hook in hooks["repos"][0]["hooks"]} <= {"system", "pygrep"}


def test_the_monai_example_of_the_readme_runs(tmp_path):
    import nibabel
    import numpy as np

    from tests.factory import SPACING, make_volume

    [code] = [text for page, _, text in examples("python") if page.name == "README.md"]
    names = {}
    exec(code, names)
    image, label = make_volume(0, tumors=False)
    for name, array in (("image", image), ("label", label)):
        nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), np.diag([*SPACING[::-1], 1])), tmp_path / f"{name}.nii.gz")
    transform, paths = names["transform"], {key: str(tmp_path / f"{key}.nii.gz") for key in ("image", "label")}
    transform.set_random_state(seed=1)
    results = [transform(paths) for _ in range(6)]
    assert any(result["painted"] for result in results)
    assert all(bool((result["label"] == 2).any()) == (result["painted"] > 0) for result in results)
