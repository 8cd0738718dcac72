"""Rules of the house that hold for every file of the library, read from its syntax tree."""

import ast

import pytest
import yaml

from freetumor.core.code import STAGES
from freetumor.core.settings import _StrictLoader
from tests.conftest import REPOSITORY

SCRIPTS = REPOSITORY / "scripts"
FILES = sorted(SCRIPTS.rglob("*.py"))
LIBRARY = [path for path in FILES if path.is_relative_to(SCRIPTS / "freetumor")]
UNSAFE_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve", "jsonpickle"}
BUILT_IN = {"eval", "exec", "compile", "__import__"}
UNSAFE_CALLS = {"pickle", "read_pickle", "to_pickle", "unpack_array", "unpack_array2", "full_load", "unsafe_load"}
GLOBAL_DRAWS = {"seed", "rand", "randn", "randint", "random", "normal", "uniform", "choice", "shuffle", "permutation"}


def name_of(path):
    return path.relative_to(SCRIPTS).as_posix()


def imports(path):
    """Absolute names of all modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = ".".join(path.relative_to(SCRIPTS).parts[: -node.level]) if node.level else ""
            base = ".".join(part for part in (parent, node.module) if part)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def calls(path):
    """Every call in a file: its dotted name, and its keywords as source text."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_no_stage_imports_a_later_one(path):
    folder = path.relative_to(SCRIPTS).parts[1]
    if path.parent == SCRIPTS / "freetumor":
        allowed: tuple[str, ...] = ()
    else:
        allowed = STAGES[: STAGES.index(folder) + 1] if folder != "core" else ("core",)
    used = {name.split(".")[1] for name in imports(path) if name.startswith("freetumor.")}
    assert used <= set(allowed)


def test_the_stages_are_the_folders_of_the_library():
    assert {path.relative_to(SCRIPTS / "freetumor").parts[0] for path in LIBRARY} - {"__init__.py"} == set(STAGES)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_that_runs_foreign_code_is_used(path):
    assert not {name.split(".")[0] for name in imports(path)} & (UNSAFE_MODULES | {"snakemake"})
    for name, keywords in calls(path):
        assert name not in BUILT_IN
        assert name.split(".")[-1] not in UNSAFE_CALLS
        if name == "torch.load":
            assert keywords.get("weights_only") == "True"
        if name in {"np.load", "numpy.load", "np.save", "np.lib.format.read_array", "np.lib.format.write_array"}:
            assert keywords.get("allow_pickle", "False") == "False"
        if name in {"yaml.load", "yaml.load_all"}:
            assert keywords["Loader"] in {"yaml.SafeLoader", "_StrictLoader"}
        if "shell" in keywords:
            assert keywords["shell"] == "False"


def test_the_loader_of_configurations_is_a_safe_one():
    assert issubclass(_StrictLoader, yaml.SafeLoader)
    assert not issubclass(_StrictLoader, yaml.UnsafeLoader | yaml.FullLoader)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_global_random_state_is_used(path):
    assert "random" not in set(imports(path))
    for name, _ in calls(path):
        module, _, function = name.rpartition(".")
        assert not (module in {"np.random", "numpy.random", "random"} and function in GLOBAL_DRAWS), name


@pytest.mark.parametrize("path", [path for path in FILES if path.parent == SCRIPTS], ids=name_of)
def test_a_script_is_thin(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.For | ast.While | ast.ClassDef)]
    assert "freetumor.core.errors.run_script" in set(imports(path))
