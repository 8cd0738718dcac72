"""Content hashes of the library: editing code reruns exactly the rules that use it, touching a file reruns nothing."""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
STAGES = ("core", "download", "preprocessing", "synthesizer", "synthesis", "recognition", "evaluation", "figures")


@cache
def imported_modules(path: Path) -> tuple[Path, ...]:
    """Modules of this package that the file at ``path`` imports, directly or inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(path, node)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        found.update(file for name in names if (file := _file_of(name)) is not None)
    return tuple(sorted(found))


def closure(path: Path) -> list[Path]:
    """The file at ``path`` and all modules of this package that it uses, sorted."""
    todo, seen = [path.resolve()], set()
    while todo:
        current = todo.pop()
        if current not in seen:
            seen.add(current)
            todo.extend(imported_modules(current))
    return sorted(seen)


def code_hash(script: str | Path) -> str:
    """Hash of the content of a script and of every module of this package that it uses.

    Comments and blank lines count; modification times do not.
    """
    digest = hashlib.sha256()
    for path in closure(Path(script)):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _absolute(path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts[: -node.level]
    return ".".join([*parts, node.module] if node.module else parts)


def _file_of(name: str) -> Path | None:
    """The file of a module or package of ours, else None."""
    if name.split(".")[0] != PACKAGE.name:
        return None
    base = PACKAGE.parent.joinpath(*name.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None
