"""Pages and files generated from a single source: the configuration reference, its schema, the conda environments.

``make reference`` writes them; a test fails when one of them has drifted.
"""

import importlib.metadata
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .config import DEFECTS, Config
from .files import write_text
from .pins import read_lock

ENVIRONMENTS = {
    "core": (
        "numpy scipy pandas pyarrow scikit-learn statsmodels matplotlib pydantic pyyaml nibabel SimpleITK pydicom blosc2 isal "
        "connected-components-3d edt packaging requests urllib3",
        "reading, preprocessing, statistics, figures: everything that needs no network",
    ),
    "torch": (
        "numpy scipy pandas pyarrow scikit-learn matplotlib pydantic pyyaml nibabel SimpleITK blosc2 connected-components-3d "
        "edt packaging threadpoolctl torch monai einops safetensors",
        "training, painting and prediction, and figures that look into networks",
    ),
}


def generated_files(repository: Path) -> dict[Path, str]:
    """Content of every generated file, by path relative to the repository."""
    pins = read_lock(repository / "envs" / "requirements.lock")
    files = {
        Path("docs/reference/configuration.md"): configuration_page(),
        Path("docs/reference/config.schema.json"): json.dumps(Config.model_json_schema(), indent=2) + "\n",
    }
    for name, (roots, purpose) in ENVIRONMENTS.items():
        files[Path(f"envs/{name}.yaml")] = conda_environment(roots.split(), pins, purpose)
    return files


def write_reference(repository: Path) -> None:
    """Write every generated file."""
    for path, text in generated_files(repository).items():
        write_text(repository / path, text)


def conda_environment(roots: Iterable[str], pins: dict[str, str], purpose: str) -> str:
    """A conda environment file with the locked versions of ``roots`` and of all they need.

    The pins are a ``pip`` section, because the lock is one of PyPI packages; Snakemake copies the file, so they are inline.
    """
    needed = sorted(_closure(roots, pins))
    lines = [
        f"# {purpose[0].upper() + purpose[1:]}.",
        "# Generated from envs/requirements.lock by `make reference`; do not edit.",
        "channels:",
        "  - conda-forge",
        "  - nodefaults",
        "dependencies:",
        "  - python=3.11",
        "  - pip",
        "  - pip:",
        *(f"      - {name}=={pins[name]}" for name in needed),
    ]
    return "\n".join(lines) + "\n"


def _closure(roots: Iterable[str], pins: dict[str, str]) -> set[str]:
    todo, seen = [canonicalize_name(name) for name in roots], set()
    while todo:
        name = todo.pop()
        if name in seen or name not in pins:  # CUDA packages of torch are not in the lock: PyPI's build pins them itself
            continue
        seen.add(name)
        for text in importlib.metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                todo.append(canonicalize_name(requirement.name))
    return seen


def configuration_page() -> str:
    """The reference page of the configuration, in Markdown."""
    schema = Config.model_json_schema()
    lines = [
        "# Configuration",
        "",
        "Generated from `scripts/freetumor/core/config.py` by `make reference`; do not edit.",
        "",
        "A study is `config.yaml`, overlaid by the file given with `--configfile`. Mappings merge key by key; everything else",
        "is replaced. Unknown keys are refused. Lengths are mm, intensities HU, triples in the order z, y, x, unless stated.",
        "",
        *_section("The study", schema, schema),
    ]
    for name, definition in sorted(schema["$defs"].items()):
        if definition.get("type") == "object":
            lines += _section(name, definition, schema)
    lines += [
        "## Published defects",
        "",
        "Switches of `Synthesizer.defects`; `mode: as_published` switches all of them on.",
        "",
    ]
    lines += ["| switch | what it does |", "| --- | --- |", *(f"| `{name}` | {text} |" for name, text in DEFECTS.items()), ""]
    return "\n".join(lines)


def _section(title: str, definition: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    yield from (f"## {title}", "")
    if "description" in definition:
        yield from (" ".join(definition["description"].split("\n\n")[0].split()), "")
    yield from ("| key | type | default | meaning |", "| --- | --- | --- | --- |")
    for key, field in definition["properties"].items():
        default = "required" if key in definition.get("required", []) else f"`{json.dumps(field.get('default'))}`"
        if isinstance(field.get("default"), dict) and "$ref" in str(field):
            default = "see there"
        yield f"| `{key}` | {_type(field)} | {default} | {field.get('description', '').replace('|', chr(92) + '|')} |"
    yield ""


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].split("/")[-1]
        return f"[{name}](#{name.lower()})"
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    for union in ("anyOf", "oneOf", "allOf"):
        if union in field:
            return " or ".join(_type(option) for option in field[union] if option.get("type") != "null")
    if field.get("type") == "array":
        items = field.get("prefixItems")
        return f"({', '.join(_type(item) for item in items)})" if items else f"list of {_type(field.get('items', {}))}"
    if field.get("type") == "object":
        return (
            f"mapping to {_type(field['additionalProperties'])}"
            if isinstance(field.get("additionalProperties"), dict)
            else "mapping"
        )
    return field.get("type", "any")
