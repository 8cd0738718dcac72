"""Building HTML without a way to forget escaping: text becomes markup only through :func:`element`.

The look of a page, and what its one script does, is in ``page``.
"""

import base64
import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

VOID = {"img", "meta", "br", "wbr"}


class Html(str):
    """Markup that is already safe. Any other text is escaped when it becomes a child or an attribute."""

    __slots__ = ()


class Section(Html):
    """A part of a page that can be linked to.

    Attributes:
        title: its heading.
        anchor: its id.
    """

    title: str
    anchor: str


def element(name: str, /, *children: object, **attributes: str) -> Html:
    """``element("p", "a < b", class_="note")`` → ``<p class="note">a &lt; b</p>``.

    Args:
        name: of the element.
        children: text or :class:`Html`, or iterables of them.
        attributes: values are escaped; a trailing underscore of a name is dropped, other underscores become hyphens.
    """
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"' for key, value in attributes.items())
    return Html(f"<{name}{given}>" if name in VOID else f"<{name}{given}>{join(children)}</{name}>")


def join(children: Iterable[object]) -> Html:
    """Concatenate text and markup, escaping the text."""
    parts = []
    for child in children:
        if isinstance(child, Html):
            parts.append(str(child))
        elif isinstance(child, str) or not isinstance(child, Iterable):
            parts.append(html.escape(str(child)))
        else:
            parts.append(str(join(child)))
    return Html("".join(parts))


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[object]], numeric: Iterable[int] = ()) -> Html:
    """A table whose first column names its rows.

    Args:
        caption: what the table holds.
        header: names of the columns.
        rows: cells.
        numeric: columns of numbers: they are aligned to the right, and the script of the page sorts them by value.
    """
    right = set(numeric)

    def cell(column: int, value: object) -> Html:
        kind = {"class_": "number"} if column in right else {}
        value = breakable(value) if isinstance(value, str) and not isinstance(value, Html) else value
        return element("th", value, scope="row", **kind) if column == 0 else element("td", value, **kind)

    head = [
        element("th", name, scope="col", **({"class_": "number"} if column in right else {}))
        for column, name in enumerate(header)
    ]
    body = [element("tr", [cell(column, value) for column, value in enumerate(row)]) for row in rows]
    inner = element("table", element("caption", caption), element("thead", element("tr", head)), element("tbody", body))
    return element("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)


def breakable(text: str) -> Html:
    """Let a line break after an underscore, as names of arms and codes have them."""
    return Html("_<wbr>".join(html.escape(part) for part in text.split("_")))


def picture(path: str | Path, alternative: str, caption: object, number: int) -> Html:
    """A PNG inside the page, with its caption; the script of the page enlarges it on a click or a key."""
    data = base64.b64encode(Path(path).read_bytes()).decode()
    image = element("img", src=f"data:image/png;base64,{data}", alt=alternative)
    opener = element("button", image, type="button", class_="zoom", aria_label=f"Enlarge figure {number}")
    words = element("figcaption", element("strong", f"Figure {number}. "), caption)
    return element("figure", opener, words, id=f"figure-{Path(path).stem}")


def anchor_of(title: str) -> str:
    """``Claimed and reproduced`` → ``claimed-and-reproduced``."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def section(title: str, *children: object) -> Section:
    """A part of the page under a heading, which its anchor is made from."""
    found = Section(element("section", element("h2", title), *children, id=anchor_of(title)))
    found.title, found.anchor = title, anchor_of(title)
    return found


def folded(summary: str, *children: object) -> Html:
    """Content behind a line that opens it; printed only if it is open."""
    return element("details", element("summary", summary), *children)


def link(text: object, target: str) -> Html:
    """A link within the page, or to a file beside it."""
    return element("a", text, href=target)
