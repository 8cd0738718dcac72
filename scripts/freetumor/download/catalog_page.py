"""The page ``docs/data.md``, written from the table of sources; a test fails when it has drifted."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from freetumor.core.files import write_text
from freetumor.download.catalog import ACCESS, LIMITS, ROLES, Entry, catalog
from freetumor.download.estimates import per_volume
from freetumor.download.public import instructions

PAGE = Path("docs/data.md")
REGIONS = ("abdomen", "chest", "head and neck", "whole body")
SEPARATOR = " · "

HEAD = """# Public data

Generated from `scripts/freetumor/download/catalog/*.yaml` by `make reference`; do not edit.

FreeTumor names 161,310 CT volumes from 33 public sources. This page lists them, {extra} more collections that are open to
anyone, and how to get each. To use one, name it in a study:

```yaml
organs: [kidney]
sources:
  - name: kits23
    kind: public
    limit: 20 # the first 20 patients; leave it out for all
```

* **Open** sources that say *fetched* need nothing else: the download job lists, fetches, resumes, checks and unpacks them.
* For the others, `make run` stops with a note like those [below](#fetched-by-hand): page, license, what to do, which folder.
  Put the files there and start again; they are checked and indexed.
* Files lie in `$FREETUMOR_DATA/<name>`, or in `results/downloads/<name>` if that variable is not set.
* `make check STUDY=<study>` says beforehand what is missing and what it will take.
* A scan may be in several sources. Copies are found by their content, whatever this page says.

What is not known is left empty. A `?` marks what is inferred: nobody we could read states it. The license is that of the
source at the time of writing; read its page before you use or pass on anything.
"""

ABOUT = """## How sure the list is

The authors' own table of the 33 sources is not available to us. Ours is the table of PreCT-160K, a larger set by the same
authors, plus what the file lists of the released code have beside it ({difference} volumes). PreCT-160K names 22 sources and,
as one row of 1,334 volumes, six tumor sets that it does not name; which six is our inference. Its named rows add up to
{named:,}, with the tumor sets to {total:,}. That is {excess:,} more than the 160,167 that it states itself, so some rows must
overlap or be counted otherwise. *Stated* below means that the released code loads the source; *inferred*, that only the table
names it, or captions do.
"""

FLOW_NOTE = """The list adds up to more than 161,310: see above. The two numbers differ where an archive holds another version
than the list, or where one CT per patient is taken (NLST). What happens to the volumes afterward (refused, copies, folds) is
counted in the report of each study."""

ROUTES = """## NCI's Imaging Data Commons

Sources that come from the commons are chosen series by series from its index, offline. Install the index first (79 MB):

    .venv/bin/pip install --no-deps idc-index-data

Labels are fetched first; each says which CT series it was drawn on. `results/data/<source>/series.csv` lists patient,
license and origin of every series that is used. Numbers on this page are those of version 25 of the index. The job prints
which names of segments it found and what it took them for: look at that once.
"""


def data_page() -> str:
    """The page, in Markdown."""
    entries = catalog().values()
    paper = [entry for entry in entries if entry.paper is not None]
    others = [entry for entry in entries if entry.paper is None]
    lines = [HEAD.format(extra=len(others)), "## Sources of the paper", ""]
    for region in REGIONS:
        lines += [f"### {region.capitalize()}", "", *_table([entry for entry in paper if entry.region == region]), ""]
    lines += ["## Open collections with outlined tumors", "", *_table(others), ""]
    lines += [_about(paper), *_flow(paper), ROUTES, *_overlaps(entries), *_by_hand(entries), *_details(entries), *_words()]
    return "\n".join(lines).rstrip() + "\n"


def write_page(repository: Path) -> None:
    """Write the page."""
    write_text(repository / PAGE, data_page())


def _table(entries: Iterable[Entry]) -> list[str]:
    head = ("name", "organs; **tumors**", "in the paper", "volumes", "fetch", "stored", "CPU", "license", "access", "role")
    rows = []
    for entry in entries:
        route = " · fetched" if entry.fetched else ""
        structures = "; ".join(
            filter(None, [", ".join(entry.organs), f"**{', '.join(entry.tumors)}**" if entry.tumors else ""])
        )
        stored, seconds = _expected(entry)
        rows.append(
            (
                f"[{entry.name}](#{entry.name})",
                structures + _mark(entry, "organs"),
                f"{entry.paper.volumes:,}" if entry.paper and entry.paper.volumes else "",
                f"{entry.volumes:,}{_mark(entry, 'volumes')}" if entry.volumes else "",
                _size(entry.gigabytes) + (_mark(entry, "gigabytes") if entry.gigabytes else ""),
                stored,
                seconds,
                (entry.license + _mark(entry, "license")) if entry.license else "",
                entry.access + _mark(entry, "access") + route,
                ", ".join(entry.roles),
            )
        )
    return _markdown(head, rows)


def _expected(entry: Entry) -> tuple[str, str]:
    """Disk of the stored volumes at 1.5 mm, and core-hours of preprocessing."""
    if not entry.volumes:
        return "", ""
    kept, seconds = per_volume(1.5**3)
    return _size(entry.volumes * kept), f"{entry.volumes * seconds / 3600:.1f} h"


def _about(paper: Sequence[Entry]) -> str:
    named = sum(entry.paper.volumes or 0 for entry in paper if entry.paper.row.startswith("PreCT-160K"))
    difference = sum(entry.paper.volumes or 0 for entry in paper if "difference" in entry.paper.row)
    return ABOUT.format(named=named, total=named + 1334, excess=named + 1334 - 160167, difference=f"{difference:,}")


def _flow(paper: Sequence[Entry]) -> list[str]:
    """Volumes of the paper, and how many of them can be had by which route."""
    counted = [entry for entry in paper if not entry.paper.edition]
    groups = {
        "fetched by the workflow": [entry for entry in counted if entry.fetched],
        "open, fetched by hand": [entry for entry in counted if not entry.fetched and entry.access == "open"],
        "after registration": [entry for entry in counted if entry.access == "registration"],
        "after an application": [entry for entry in counted if entry.access == "request"],
    }
    rows = [_flow_row(name, group) for name, group in groups.items()]
    head = ("route", "sources", "volumes in the paper's list", "volumes that can be had", "which")
    lines = ["## From the paper's list to what can be had", "", *_markdown(head, [*rows, _flow_row("all", counted, False)]), ""]
    return [*lines, FLOW_NOTE, ""]


def _flow_row(name: str, group: Sequence[Entry], listed: bool = True) -> tuple[str, ...]:
    had = sum(entry.volumes or 0 for entry in group)
    unknown = sum(entry.volumes is None for entry in group)
    number = f"{had:,}" + (f" + {unknown} not stated" if unknown else "")
    names = ", ".join(entry.name for entry in group) if listed else ""
    return name, str(len(group)), f"{sum(entry.paper.volumes or 0 for entry in group):,}", number, names


def _overlaps(entries: Iterable[Entry]) -> list[str]:
    rows = [
        (f"[{entry.name}](#{entry.name})", f"[{overlap.source}](#{overlap.source})", overlap.what, overlap.confidence)
        for entry in entries
        for overlap in entry.overlaps
    ]
    return ["## Known overlaps", "", *_markdown(("source", "shares scans with", "what", "how sure"), rows), ""]


def _by_hand(entries: Iterable[Entry]) -> list[str]:
    lines = ["## Fetched by hand", "", "What the job of each of these sources tells you.", ""]
    for entry in entries:
        if not entry.fetched:
            text = instructions(entry, Path("$FREETUMOR_DATA") / entry.name).splitlines()
            lines += [*(f"    {line}" for line in text), ""]
    return lines


def _details(entries: Iterable[Entry]) -> list[str]:
    lines = ["## Source by source", ""]
    for entry in entries:
        lines += [f"### {entry.name}", "", *_facts(entry), ""]
    return lines


def _facts(entry: Entry) -> list[str]:
    paper = entry.paper
    listed = f"{paper.volumes:,} volumes; " if paper and paper.volumes else ""
    facts = {
        "": f"**{entry.title}**{_mark(entry, 'title')}" + (f" ({entry.version})" if entry.version else ""),
        "page": f"<{entry.page}>" if entry.page else "",
        "license": f"{entry.license}: {'; '.join(LIMITS[limit] for limit in entry.limits)}" if entry.license else "not known",
        "patients": f"{entry.patients:,}" if entry.patients else "",
        "format": entry.format + (_mark(entry, "format") if entry.format else ""),
        "checksums": entry.checksum,
        "labels": _labels(entry),
        "in the paper": f"{listed}{paper.row} ({paper.confidence})" if paper else "not used",
        "cite": entry.citation,
        "inferred": ", ".join(entry.confidence),
        "from": "; ".join(entry.evidence),
    }
    return [f"* {key}: {text}" if key else text + "\n" for key, text in facts.items() if text]


def _labels(entry: Entry) -> str:
    if entry.commons is not None:
        rules = [f"{rule.modality} {rule.analysis}".strip() + ": " + _map(rule.segments) for rule in entry.commons.labels]
    else:
        layout = entry.layout
        rules = [_map(layout.label_map)] if layout.label_map else []
        rules += [_map(extra["label_map"]) for extra in layout.extra_labels]
    return SEPARATOR.join(rules)


def _map(names: Mapping[int | str, str]) -> str:
    return ", ".join(f"{'any' if code == '.' else f'`{code}`'} → {name}" for code, name in names.items())


def _words() -> list[str]:
    lines = ["## Words", ""]
    lines += [f"* **{role}**: {text}." for role, text in ROLES.items()]
    lines += [f"* **{access}**: {text}." for access, text in ACCESS.items()]
    return [
        *lines,
        "* **stored**, **CPU**: volumes stored at 1.5 mm, and core-hours to check and store them, from the costs in "
        "`scripts/freetumor/core/costs.csv`; estimates, not measurements of this source.",
    ]


def _mark(entry: Entry, field: str) -> str:
    return " ?" if field in entry.confidence else ""


def _size(gigabytes: float | None) -> str:
    if not gigabytes:
        return ""
    return f"{gigabytes / 1e3:.1f} TB" if gigabytes >= 1e3 else f"{gigabytes:.1f} GB"


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    line = "| {} |".format
    return [line(" | ".join(head)), line(" | ".join("---" for _ in head)), *(line(" | ".join(row)) for row in rows)]
