"""Loading a configuration: safe YAML, one strict model, and errors of one line that name the key."""

import difflib
import typing
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from .config import Config
from .errors import UserError
from .files import write_text

MAX_BYTES = 1_000_000


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that refuses aliases (a short file can expand to billions of nodes) and keys given twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.YAMLError(f"line {mark.line + 1}: aliases are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.YAMLError(f"line {key_node.start_mark.line + 1}: a key is a list or a mapping")
            if key in seen:
                raise yaml.YAMLError(f"line {key_node.start_mark.line + 1}: key '{key}' is given twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping safely.

    Raises:
        UserError: if the file is missing, too large, not YAML or not a mapping.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: a configuration is at most 1 MB")
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)
    except OSError as error:
        raise UserError(f"{path}: configuration not found ({error.strerror})") from error
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:  # such as 2025-13-45, !!bool x
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a mapping of keys to values")
    return value


def merge(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Overlay a configuration on another, as Snakemake does: mappings merge, everything else is replaced."""
    result = dict(base)
    for key, value in overlay.items():
        if not isinstance(value, Mapping):
            result[key] = value
        elif value or key not in result:  # an empty mapping replaces nothing
            result[key] = merge(result[key] if isinstance(result.get(key), Mapping) else {}, value)
    return result


def load(*paths: str | Path) -> Config:
    """Load a study: the first file, overlaid by the others.

    Raises:
        UserError: if a file cannot be read or the result is not a valid configuration.
    """
    raw: dict[str, Any] = {}
    for path in paths:
        raw = merge(raw, read_yaml(path))
    return validate(raw, str(paths[-1]))


def validate(raw: Mapping[str, Any], origin: str = "configuration") -> Config:
    """Check ``raw`` against the model.

    Raises:
        UserError: one line per file, naming the first wrong key, what was expected, and the nearest valid key.
    """
    try:
        return Config.model_validate(expand(raw, origin))
    except ValidationError as error:
        # Unknown keys first: a mistyped key also shows up as a missing one.
        first = min(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
        raise UserError(f"{origin}: {_explain(first)}") from None


def expand(raw: Mapping[str, Any], origin: str = "configuration") -> dict[str, Any]:
    """Resolve ``like: <name>`` in synthesizers and arms: the entry is the named one, overlaid by the rest of its own keys.

    Raises:
        UserError: if the name is not there, or entries are like each other in a circle.
    """
    result = dict(raw)
    for table in ("synthesizers", "arms"):
        entries = raw.get(table)
        if isinstance(entries, Mapping):
            result[table] = {name: _resolve(entries, name, (), f"{origin}: {table}") for name in entries}
    return result


def _resolve(entries: Mapping[str, Any], name: str, chain: tuple[str, ...], where: str) -> Any:
    entry = entries[name]
    if not isinstance(entry, Mapping) or "like" not in entry:
        return entry
    base = entry["like"]
    if base not in entries:
        near = difflib.get_close_matches(str(base), [str(key) for key in entries], 1)
        raise UserError(f"{where}.{name}.like: '{base}' is not there" + (f"; did you mean '{near[0]}'?" if near else ""))
    if base in (*chain, name):
        raise UserError(f"{where}.{name}.like: a circle: {' → '.join((*chain, name, base))}")
    return merge(_resolve(entries, base, (*chain, name), where), {key: value for key, value in entry.items() if key != "like"})


def save(config: Config, path: str | Path) -> None:
    """Write a resolved configuration; leave the file alone if it already says the same."""
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, width=120)
    path = Path(path)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def _explain(error: Mapping[str, Any]) -> str:
    location = list(error["loc"])
    if location[:1] == ["sources"]:
        del location[2:3]  # the kind that the model chose
    key = ".".join(str(part) for part in location if part != "[key]")
    if error["type"] == "extra_forbidden":
        known = _keys_at(Config, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, 1)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys here: {', '.join(known)}"
        return f"unknown key '{key}'; {hint}"
    if error["type"] == "missing":
        return f"key '{key}' is missing"
    message = error["msg"].removeprefix("Value error, ")
    got = (
        ""
        if isinstance(error["input"], Mapping | Sequence) and not isinstance(error["input"], str)
        else f", got {error['input']!r}"
    )
    return f"{key}: {message}{got}" if key else message


def _keys_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Valid keys of the section at ``location`` below ``model``."""
    sections: list[type[BaseModel]] = [model]
    for part in location:
        fields = [section.model_fields[str(part)] for section in sections if str(part) in section.model_fields]
        if fields:  # else the part is a list index or a mapping's key, and the sections stay
            sections = [leaf for field in fields for leaf in _leaves(field.annotation)]
    return sorted({key for section in sections for key in section.model_fields})


def _leaves(annotation: Any) -> list[Any]:
    """The models inside an annotation: through unions, lists, dictionaries and ``Annotated``."""
    origin = typing.get_origin(annotation)
    if origin is None:
        return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
    arguments = typing.get_args(annotation)
    if origin in (dict, typing.Literal):
        arguments = arguments[1:] if origin is dict else ()
    if origin is typing.Annotated:
        arguments = arguments[:1]
    return [leaf for argument in arguments for leaf in _leaves(argument)]
