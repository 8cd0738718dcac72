"""The look of a page and its one script: contents at the side, figures that enlarge, tables that sort, and paper.

A page fetches nothing. Its policy admits this style, this script and pictures inside the page, and nothing else;
without the script all content is there, but tables do not sort and figures do not enlarge.
"""

import base64
import hashlib
from collections.abc import Iterable

from freetumor.figures.html import Html, Section, element, link

STYLE = """
:root { color-scheme: light dark; --ink: #1d2125; --paper: #ffffff; --soft: #f4f5f6; --line: #d8dbdf; --muted: #59616a;
  --gain: #00674d; --loss: #a63c00; --accent: #00558a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --paper: #15181b; --soft: #1f2429; --line: #3a4149;
  --muted: #a4adb6; --gain: #4fd3ab; --loss: #ff9d66; --accent: #7cc4f2; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 3.2rem; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; } .skip:focus { left: 1rem; top: .4rem; background: var(--paper); z-index: 3; }
main, header, footer { max-width: 66rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .7rem; padding-top: .6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.02rem; margin: 1.6rem 0 .3rem; }
p, li { max-width: 46rem; }
nav { position: sticky; top: 0; z-index: 2; background: var(--paper); border-bottom: 1px solid var(--line); overflow-x: auto; }
nav ul { display: flex; gap: 1.1rem; margin: 0; padding: .55rem 1.25rem; list-style: none; font-size: .9rem;
  white-space: nowrap; }
nav a { color: var(--muted); text-decoration: none; } nav a:hover { color: var(--accent); text-decoration: underline; }
@media (min-width: 75rem) {
  html { scroll-padding-top: 1rem; }
  body { display: grid; grid-template-columns: 13.5rem minmax(0, 66rem); justify-content: center; column-gap: 1rem; }
  nav { grid-row: 1 / span 3; align-self: start; border: 0; max-height: 100vh; overflow-y: auto; padding-top: 2rem; }
  nav ul { display: block; white-space: normal; border-left: 1px solid var(--line); padding: .2rem 0 .2rem 1rem;
    margin: 0 0 0 1rem; }
  nav li { margin: .3rem 0; }
  header, main, footer { grid-column: 2; margin: 0; width: 100%; }
}
.muted, figcaption, caption { color: var(--muted); }
.answer { background: var(--soft); border-left: 4px solid var(--accent); padding: .9rem 1.2rem; border-radius: 4px; }
.answer ul { padding-left: 1.2rem; }
.answer p:first-child { margin-top: 0; } .answer :last-child { margin-bottom: 0; }
.facts { display: flex; flex-wrap: wrap; gap: .4rem 1.6rem; margin: .8rem 0 1.4rem; padding: 0; list-style: none; }
.facts strong { font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; min-width: 32rem; }
caption { text-align: left; padding-bottom: .4rem; font-size: .9rem; max-width: 52rem; }
th, td { text-align: left; vertical-align: top; padding: .34rem .7rem .34rem 0; border-bottom: 1px solid var(--line); }
thead th { border-bottom: 2px solid var(--line); vertical-align: bottom; }
tbody th { font-weight: 600; min-width: 6.5rem; }
td.number, th.number { text-align: right; } td.number { white-space: nowrap; }
thead button { all: unset; cursor: pointer; }
thead button:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
thead button::after { content: "\\2195"; color: var(--line); padding-left: .25em; }
[aria-sort="ascending"] button::after { content: "\\2191"; color: var(--accent); }
[aria-sort="descending"] button::after { content: "\\2193"; color: var(--accent); }
.gain { color: var(--gain); font-weight: 600; } .loss { color: var(--loss); font-weight: 600; }
figure { margin: 1.6rem 0 2.4rem; }
.zoom { display: block; width: 100%; max-width: 58rem; padding: .6rem; background: #fff; border: 1px solid var(--line);
  border-radius: 4px; cursor: zoom-in; }
.zoom img { display: block; margin: 0 auto; max-width: 100%; height: auto; }
dialog { width: 100vw; height: 100vh; max-width: none; max-height: none; margin: 0; padding: 2.6rem 1rem 1rem; border: 0;
  background: #fff; color: #1d2125; overflow: auto; }
dialog img { display: block; margin: 0 auto; max-width: none; cursor: zoom-out; }
dialog p { position: fixed; top: 0; left: 0; right: 0; margin: 0; padding: .5rem 1rem; background: #fff; font-size: .85rem;
  max-width: none; }
dialog button { float: right; font: inherit; margin-left: .5rem; }
figcaption { font-size: .9rem; max-width: 52rem; margin-top: .6rem; }
figcaption strong { color: var(--ink); }
details { margin: .8rem 0; } summary { cursor: pointer; font-weight: 600; }
pre { background: var(--soft); padding: .8rem 1rem; overflow-x: auto; font-size: .8rem; line-height: 1.45; border-radius: 4px; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .92em; overflow-wrap: anywhere; }
footer { margin: 3rem auto 2rem; color: var(--muted); font-size: .85rem; }
@media print {
  @page { margin: 15mm; }
  :root { color-scheme: light; --ink: #000; --paper: #fff; --soft: #f4f5f6; --line: #bbb; --muted: #444; --gain: #00674d;
    --loss: #a63c00; --accent: #00558a; }
  body { display: block; font-size: 9.5pt; } nav, .skip, thead button::after { display: none; }
  main, header, footer { max-width: none; padding: 0; }
  h2, summary, caption { break-after: avoid; } tr, .answer, figcaption { break-inside: avoid; }
  .zoom { border: 0; padding: 0; break-inside: avoid; } .zoom img { max-height: 225mm; width: auto; max-width: 100%; }
  .scroll { overflow: visible; } table { min-width: 0; width: 100%; font-size: 7.5pt; } caption, figcaption { font-size: 8pt; }
  thead th, td.number, th.number { white-space: normal; } tbody th { min-width: 0; overflow-wrap: anywhere; }
  th, td { padding-right: .3rem; }
  pre { white-space: pre-wrap; font-size: 7pt; }
  details:not([open]) summary::after { content: " (folded; open it on the screen to print it)"; font-weight: 400; }
}
"""

SCRIPT = """
"use strict";
(() => {
  const value = (cell) => {
    const found = cell.textContent.replace(/\\u2212/g, "-").replace(/,/g, "").match(/-?\\d+(\\.\\d+)?/);
    return found ? Number(found[0]) - (cell.textContent.includes("<") ? 1e-9 : 0) : null;
  };
  const compare = (numeric, sign) => (one, other) => {
    if (!numeric) return sign * one.textContent.localeCompare(other.textContent, "en", { numeric: true });
    const [a, b] = [value(one), value(other)];
    return a === null || b === null ? (a === null) - (b === null) : sign * (a - b);
  };
  for (const table of document.querySelectorAll("table")) {
    const body = table.tBodies[0];
    if (body.rows.length < 2) continue;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.title = "Sort";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const upward = head.getAttribute("aria-sort") !== "ascending";
        for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", upward ? "ascending" : "descending");
        const order = compare(head.classList.contains("number"), upward ? 1 : -1);
        body.append(...[...body.rows].sort((a, b) => order(a.cells[column], b.cells[column])));
      });
    });
  }
  const openers = [...document.querySelectorAll("button.zoom")];
  const dialog = document.createElement("dialog");
  const image = document.createElement("img");
  const words = document.createElement("p");
  const control = (text, action) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", action);
    return button;
  };
  let shown = 0;
  const show = (index) => {
    shown = (index + openers.length) % openers.length;
    const source = openers[shown].querySelector("img");
    [image.src, image.alt] = [source.src, source.alt];
    words.firstChild.data = `Figure ${shown + 1} of ${openers.length} `;
    dialog.scrollTo(0, 0);
    if (!dialog.open) dialog.showModal();
  };
  const close = control("Close (Esc)", () => dialog.close());
  words.append("", close, control("Next", () => show(shown + 1)), control("Previous", () => show(shown - 1)));
  dialog.append(words, image);
  document.body.append(dialog);
  openers.forEach((opener, index) => opener.addEventListener("click", () => show(index)));
  image.addEventListener("click", () => dialog.close());
})();
"""


def page(title: str, subtitle: str, sections: Iterable[Section], footer: str) -> Html:
    """A whole document: heading, contents, sections, footer."""
    sections = list(sections)
    contents = element("ul", [element("li", link(part.title, f"#{part.anchor}")) for part in sections])
    body = element(
        "body",
        element("a", "Skip to the content", href="#content", class_="skip"),
        element("nav", contents, aria_label="Contents"),
        element("header", element("h1", title), element("p", subtitle, class_="muted")),
        element("main", sections, id="content"),
        element("footer", element("p", footer)),
        element("script", Html(SCRIPT)),
    )
    return Html("<!DOCTYPE html>\n" + element("html", _head(title), body, lang="en") + "\n")


def _head(title: str) -> Html:
    policy = f"default-src 'none'; img-src data:; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}"
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(STYLE)),
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
