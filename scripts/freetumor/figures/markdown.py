"""Small pieces of Markdown for the cards."""

from collections.abc import Iterable, Sequence


def cell(value: object) -> str:
    """Text that can stand in a table: on one line, no column bars, no markup of pages."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")


def grid(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines) + "\n"


def bullets(points: Iterable[object]) -> str:
    """A list."""
    return "".join(f"* {cell(point)}\n" for point in points)


def document(title: str, parts: Iterable[tuple[str, str]]) -> str:
    """A page: a title, and parts of a heading and a body each; parts without a body are left out."""
    body = [f"## {heading}\n\n{text.strip()}\n" for heading, text in parts if text.strip()]
    return "\n".join([f"# {cell(title)}\n", *body])
