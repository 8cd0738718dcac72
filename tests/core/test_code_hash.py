"""Editing code changes the hash of exactly the scripts that use it; touching a file changes none."""

import os
import subprocess
import sys
import textwrap

import pytest

from freetumor.core import code
from tests.conftest import REPOSITORY


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of a few modules, in which `script` uses a, b (from inside a function) and c (through b)."""
    files = {
        "freetumor/__init__.py": "",
        "freetumor/core/__init__.py": "",
        "freetumor/core/a.py": "import os\nX = 1\n",
        "freetumor/core/b.py": "def f():\n    from .c import Y\n    return Y\n",
        "freetumor/core/c.py": "Y = 1\n",
        "freetumor/core/unrelated.py": "from .c import Y\n",
        "script.py": "import sys\nfrom freetumor.core.a import X\n\ndef main():\n    from freetumor.core import b\n    b.f()\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(code, "PACKAGE", tmp_path / "freetumor")
    return tmp_path


def hash_of(path):
    code.imported_modules.cache_clear()  # a new process starts without it
    return code.code_hash(path)


@pytest.mark.parametrize("module", ["script", "freetumor/core/a", "freetumor/core/b", "freetumor/core/c"])
def test_editing_a_used_module_changes_the_hash(package, module):
    before = hash_of(package / "script.py")
    path = package / f"{module}.py"
    text = path.read_text()
    path.write_text(text + "Z = 2\n")
    assert hash_of(package / "script.py") != before
    path.write_text(text)
    assert hash_of(package / "script.py") == before


def test_touching_changes_nothing(package):
    before = hash_of(package / "script.py")
    for path in package.rglob("*.py"):
        os.utime(path, (1, 1))
    assert hash_of(package / "script.py") == before


def test_editing_an_unrelated_module_changes_nothing(package):
    before = hash_of(package / "script.py")
    (package / "freetumor/core/unrelated.py").write_text("different = True\n")
    assert hash_of(package / "script.py") == before


def test_a_new_import_is_followed(package):
    (package / "freetumor/core/c.py").write_text("import freetumor.core.unrelated\n")
    before = hash_of(package / "script.py")
    (package / "freetumor/core/unrelated.py").write_text("different = True\n")
    assert hash_of(package / "script.py") != before


def test_modules_that_import_each_other_are_followed_once(package):
    (package / "freetumor/core/c.py").write_text("from . import b\n")
    files = [path.relative_to(package).as_posix() for path in code.closure(package / "script.py")]
    core = "freetumor/core"
    assert files == [f"{core}/__init__.py", f"{core}/a.py", f"{core}/b.py", f"{core}/c.py", "script.py"]


@pytest.mark.parametrize("script", ["assign_folds.py", "download_source.py", "train_recognizer.py"])
def test_the_hash_covers_all_that_python_imports(script):
    program = textwrap.dedent(f"""
        import runpy, sys
        sys.path.insert(0, "scripts")
        runpy.run_path("scripts/{script}", run_name="imported")
        modules = [m for n, m in sys.modules.items() if n.split(".")[0] == "freetumor"]
        print(*(m.__file__ for m in modules if not hasattr(m, "__path__")), sep="\\n")
    """)
    loaded = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    loaded = {os.path.realpath(line) for line in loaded.split()}
    assert loaded
    assert loaded <= {str(path) for path in code.closure(REPOSITORY / "scripts" / script)}
