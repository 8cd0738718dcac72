"""The caption of a figure as a file beside it: what it shows, and what a reader must know to judge its numbers."""

from dataclasses import dataclass, fields
from pathlib import Path

from freetumor.core.errors import UserError
from freetumor.core.files import write_text

NOT_TESTED = "none"
FACTS = {  # field of a caption: how it is called in the file
    "n": "n",
    "unit": "unit",
    "test": "test",
    "sides": "sidedness",
    "correction": "correction",
    "alternative": "description",
}


@dataclass(frozen=True)
class Caption:
    """What a figure shows.

    Attributes:
        title: one line.
        text: what is drawn, panel by panel.
        alternative: a description for those who cannot see the figure.
        n: how many units are drawn or were tested.
        unit: what is counted as one: a case, a lesion, a training.
        test: the test behind p values, or what the intervals are.
        sides: of the test.
        correction: for multiple comparisons, and within which family.
    """

    title: str
    text: str
    alternative: str
    n: str
    unit: str
    test: str = NOT_TESTED
    sides: str = NOT_TESTED
    correction: str = NOT_TESTED


def write_caption(caption: Caption, path: str | Path) -> None:
    """Write a caption as Markdown: the title in bold, the text, and a table of the facts.

    Raises:
        ValueError: if a fact is empty: a figure must say it, and be it "none".
    """
    facts = {name: getattr(caption, field) for field, name in FACTS.items()}
    missing = [field.name for field in fields(caption) if field.name != "text" and not getattr(caption, field.name)]
    if missing:
        raise ValueError(f"{path}: caption without {', '.join(missing)}")
    rows = [f"| {name} | {_one_line(value)} |" for name, value in facts.items()]
    lines = [f"**{_one_line(caption.title)}**", "", _one_line(caption.text), "", "| fact | value |", "| --- | --- |", *rows]
    write_text(path, "\n".join(lines) + "\n")


def read_caption(path: str | Path) -> Caption:
    """Read a caption written by :func:`write_caption`.

    Raises:
        UserError: if the file is missing or is no such caption.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: caption not found")
    lines = path.read_text(encoding="utf-8").splitlines()
    found = dict(_cells(line) for line in lines[6:])
    if len(lines) != 6 + len(FACTS) or set(found) != set(FACTS.values()):
        raise UserError(f"{path}: expected a caption: a title, a text and a table of {', '.join(FACTS.values())}")
    return Caption(_plain(lines[0].strip("*")), _plain(lines[2]), **{field: found[name] for field, name in FACTS.items()})


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _cells(line: str) -> tuple[str, str]:
    """Name and value of a row of the table; a vertical bar inside of a value is escaped."""
    name, _, value = line.removeprefix("| ").removesuffix(" |").partition(" | ")
    return name, _plain(value)


def _plain(text: str) -> str:
    return text.replace("\\|", "|")
