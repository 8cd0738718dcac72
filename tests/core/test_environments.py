"""The environment of a rule has every package that its script needs to start."""

import ast
import functools
import importlib.metadata
import re
import sys

import pytest
import yaml
from packaging.utils import canonicalize_name

from freetumor.core.code import PACKAGE, _absolute, _file_of
from tests.conftest import REPOSITORY

distributions = functools.cache(importlib.metadata.packages_distributions)  # reads every package that is installed
RULE = re.compile(r"^rule (\w+):\n(.*?)(?=^rule |\Z)", re.MULTILINE | re.DOTALL)


def rules():
    """Script and environment of every rule that has both, by rule."""
    found = {}
    for file in sorted((REPOSITORY / "rules").glob("*.smk")):
        for name, body in RULE.findall(file.read_text()):
            scripts = re.findall(r"scripts/(\w+)\.py", body)
            environments = re.findall(r"envs/(\w+)\.yaml", body)
            if scripts and environments:
                found[name] = (scripts[-1], environments[0])
    return found


def packages(environment):
    pip = yaml.safe_load((REPOSITORY / "envs" / f"{environment}.yaml").read_text())["dependencies"][-1]["pip"]
    return {canonicalize_name(pin.partition("==")[0]) for pin in pip}


def imports(path, everywhere):
    """Names that a file imports when it is loaded, or in any of its functions."""
    todo = [ast.parse(path.read_text())]
    while todo:
        for node in ast.iter_child_nodes(todo.pop()):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = _absolute(path, node)
                yield from (base, *(f"{base}.{alias.name}" for alias in node.names))
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                continue
            elif everywhere or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                todo.append(node)


def needed(script):
    """Distributions that a script needs: what it imports, and what the modules of the library import when they are loaded."""
    start = REPOSITORY / "scripts" / f"{script}.py"
    todo, seen, names = [start], set(), set()
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in imports(path, everywhere=path == start):
            ours = _file_of(name)
            if ours is not None:
                todo += [ours, *(parent / "__init__.py" for parent in ours.parents if PACKAGE in (parent, *parent.parents))]
            elif name.partition(".")[0] not in {*sys.stdlib_module_names, PACKAGE.name}:
                names.add(name.partition(".")[0])
    return {canonicalize_name(distributions()[name][0]) for name in names}


@pytest.mark.parametrize("rule", rules())
def test_an_environment_has_what_its_script_imports(rule):
    script, environment = rules()[rule]
    assert needed(script) - packages(environment) == set(), f"{script}.py in envs/{environment}.yaml"


def test_what_is_needed_is_found_also_through_modules_of_the_library():
    assert len(rules()) > 60
    assert {"torch", "numpy", "pandas", "threadpoolctl"} <= needed("train_recognizer")
    assert "torch" not in needed("preprocess_shard")
