"""Generated files are those that their sources give, and every pin comes from the lock."""

import importlib.metadata
import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from freetumor.core.config import DEFECTS, Config
from freetumor.core.reference import ENVIRONMENTS, configuration_page, generated_files, read_lock
from tests.conftest import REPOSITORY

LOCK = read_lock(REPOSITORY / "envs" / "requirements.lock")


@pytest.mark.parametrize("path", sorted(map(str, generated_files(REPOSITORY))))
def test_a_generated_file_has_not_drifted(path):
    on_disk = (REPOSITORY / path).read_text(encoding="utf-8")
    assert on_disk == {str(key): text for key, text in generated_files(REPOSITORY).items()}[path], "run `make reference`"


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_pins_of_an_environment_are_those_of_the_lock(name):
    environment = yaml.safe_load((REPOSITORY / "envs" / f"{name}.yaml").read_text())
    (pins,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert len(pins) > 20
    for pin in pins:
        package, version = pin.split("==")
        assert LOCK[canonicalize_name(package)] == version


def test_the_lock_meets_what_the_project_asks_for():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    for text in [*project["dependencies"], *project["optional-dependencies"]["test"]]:
        requirement = Requirement(text)
        assert LOCK[canonicalize_name(requirement.name)] in requirement.specifier, text


def test_the_installed_packages_are_the_locked_ones():
    for name in ("numpy", "torch", "monai", "snakemake", "pandas"):
        assert importlib.metadata.version(name).split("+")[0] == LOCK[name]


def test_the_page_explains_every_key_and_every_defect():
    page = configuration_page()
    for definition in [Config.model_json_schema(), *Config.model_json_schema()["$defs"].values()]:
        for key, field in definition.get("properties", {}).items():
            rows = [line for line in page.splitlines() if line.startswith(f"| `{key}` |")]
            assert rows, key
            if "description" in field:
                assert any(field["description"].replace("|", "\\|") in row for row in rows), key
    assert all(f"| `{name}` | {text} |" in page for name, text in DEFECTS.items())


def test_every_row_of_the_page_has_as_many_cells_as_its_header():
    header = 0
    for line in configuration_page().splitlines():
        if line.startswith("|"):
            cells = len(re.findall(r"(?<!\\)\|", line))
            header = header or cells
            assert cells == header, line
        else:
            header = 0
