"""No benchmark is left behind when what it imports moves."""

import subprocess
import sys

from tests.conftest import REPOSITORY

MODULES = sorted(path.stem for path in (REPOSITORY / "benchmarks").glob("[a-z]*.py"))


def test_every_benchmark_can_be_imported():
    lines = "\n".join(f"importlib.import_module('benchmarks.{name}')" for name in MODULES)
    code = f"import importlib, sys\nsys.path[:0] = ['.', 'scripts']\n{lines}"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
