"""Building HTML without a way to forget escaping: text becomes markup only through :func:`element`."""

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path

VOID = {"img", "meta", "br", "wbr"}


class Html(str):
    """Markup that is already safe. Any other text is escaped when it becomes a child or an attribute."""

    __slots__ = ()


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
        numeric: columns that are aligned to the right.
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
    """A PNG inside the page, with its caption."""
    data = base64.b64encode(Path(path).read_bytes()).decode()
    image = element("img", src=f"data:image/png;base64,{data}", alt=alternative)
    words = element("figcaption", element("strong", f"Figure {number}. "), caption)
    return element("figure", image, words, id=f"figure-{Path(path).stem}")


def section(title: str, *children: object) -> Html:
    """A part of the page under a heading."""
    return element("section", element("h2", title), *children)


def folded(summary: str, *children: object) -> Html:
    """Content behind a line that opens it; open on paper."""
    return element("details", element("summary", summary), *children)


STYLE = """
:root { color-scheme: light dark; --ink: #1d2125; --paper: #ffffff; --soft: #f4f5f6; --line: #d8dbdf; --muted: #59616a;
  --gain: #00674d; --loss: #a63c00; --accent: #00558a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --paper: #15181b; --soft: #1f2429; --line: #3a4149;
  --muted: #a4adb6; --gain: #4fd3ab; --loss: #ff9d66; --accent: #7cc4f2; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main, header, footer { max-width: 66rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2.5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .7rem; padding-top: .6rem; border-top: 1px solid var(--line); }
p, li { max-width: 46rem; }
.muted, figcaption, caption { color: var(--muted); }
.answer { background: var(--soft); border-left: 4px solid var(--accent); padding: .9rem 1.2rem; border-radius: 4px; }
.answer p:first-child { margin-top: 0; } .answer :last-child { margin-bottom: 0; }
.facts { display: flex; flex-wrap: wrap; gap: .4rem 1.6rem; margin: .8rem 0 1.4rem; padding: 0; list-style: none; }
.facts strong { font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; min-width: 32rem; }
caption { text-align: left; padding-bottom: .4rem; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .34rem .7rem .34rem 0; border-bottom: 1px solid var(--line); }
thead th { border-bottom: 2px solid var(--line); white-space: nowrap; }
tbody th { font-weight: 600; }
td.number, th.number { text-align: right; white-space: nowrap; }
.gain { color: var(--gain); font-weight: 600; } .loss { color: var(--loss); font-weight: 600; }
figure { margin: 1.6rem 0 2.4rem; }
figure img { display: block; width: 100%; max-width: 58rem; height: auto; background: #fff; padding: .6rem;
  border: 1px solid var(--line); border-radius: 4px; }
figcaption { font-size: .9rem; max-width: 52rem; margin-top: .6rem; }
figcaption strong { color: var(--ink); }
details { margin: .8rem 0; } summary { cursor: pointer; font-weight: 600; }
pre { background: var(--soft); padding: .8rem 1rem; overflow-x: auto; font-size: .8rem; line-height: 1.45; border-radius: 4px; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .92em; overflow-wrap: anywhere; }
footer { margin: 3rem auto 2rem; color: var(--muted); font-size: .85rem; }
@media print {
  body { font-size: 10pt; } h2 { break-after: avoid; } figure, tr, .answer { break-inside: avoid; }
  .scroll { overflow: visible; } pre { white-space: pre-wrap; }
  details:not([open])::details-content { content-visibility: visible; block-size: auto; }
}
"""


def page(title: str, *children: object) -> Html:
    """A whole document."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(STYLE)),
    )
    return Html("<!DOCTYPE html>\n" + element("html", head, element("body", *children), lang="en") + "\n")
