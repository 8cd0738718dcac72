"""The parts of the report about how it came to be: software, machine, seeds, trained networks, and how to make it again."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from freetumor.core.config import Config
from freetumor.core.files import read_json
from freetumor.core.tables import read_table
from freetumor.figures.answers import count
from freetumor.figures.html import Html, Section, element, folded, section, table

# Facts of a job's provenance that are the same whenever the study is run again on the same machine.
LASTING = ("commit", "python", "machine", "gpu", "threads")
SAME_AGAIN = (
    "Paths of local data are left out of it. Tables and figures come out byte for byte the same on the same kind of device "
    "with the same number of torch threads."
)
COSTS = "costs.html"
CHANGED = "Networks were trained with changes to the code that no commit holds: this state of the code cannot be fetched again."


def lasting_facts(paths: Sequence[str | Path]) -> dict[str, set[str]]:
    """Facts of provenance files that do not depend on the day, each with all its values."""
    found: dict[str, set[str]] = {}
    for path in paths:
        facts = read_json(path)
        for name, value in ({name: facts.get(name) for name in LASTING} | facts.get("versions", {})).items():
            if value not in (None, ""):
                found.setdefault(name, set()).add(str(value))
    return found


def provenance_section(config: Config, paths: Sequence[str | Path], cards: str | Path | None) -> Section:
    """Seeds, software, machine, and the trained networks with their checksums.

    Args:
        config: the study.
        paths: provenance files of training jobs.
        cards: table ``model_cards.csv``, if there is one.
    """
    seeds = [("study", config.seed), ("trainings, per arm and fold", ", ".join(map(str, config.recognition.seeds)))]
    seeds += [(f"source {source.name}", source.seed) for source in config.sources if hasattr(source, "seed")]
    parts = [table("Seeds; every random draw comes from a hash of the study's seed and the draw's name", ("Of", "Seed"), seeds)]
    found = lasting_facts(paths)
    if found:
        rows = [(name, ", ".join(sorted(values))) for name, values in found.items()]
        parts.append(table(f"Software and hardware of {count(len(paths), 'training job')}", ("Fact", "Value"), rows))
        if any(value.endswith("+changes") for value in found.get("commit", ())):
            parts.append(element("p", element("em", CHANGED)))
    else:
        parts.append(element("p", "No provenance files were given to this report."))
    parts.append(element("p", "What each job took, a finished run writes beside this page, as ", element("code", COSTS), "."))
    return section("Provenance", *parts, *([_networks(cards)] if cards else []))


def _networks(cards: str | Path) -> Html:
    found = read_table(cards)
    rows = [
        (row.weights, row.card, f"{int(row.numbers):,}", f"{int(row.steps):,}", element("code", row.sha256[:16], "…"))
        for row in found.itertuples()
    ]
    header = ("Weights", "Card, below reporting/", "Numbers", "Steps", "SHA-256")
    shown = table("Trained networks (reporting/model_cards.csv holds whole checksums)", header, rows, (2, 3))
    return folded(f"Trained networks ({len(rows)})", shown)


def reproduce_section(config: Config) -> Section:
    """The configuration, and the command that it goes to."""
    settings = yaml.safe_dump(without_local_paths(config.model_dump(mode="json")), sort_keys=False, width=110)
    command = ".venv/bin/snakemake --cores 4 --configfile study.yaml report"
    return section(
        "How to make this again",
        element("p", "The configuration below is complete. Save it as ", element("code", "study.yaml"), " and run:"),
        element("pre", element("code", command)),
        element("p", SAME_AGAIN),
        folded("Configuration", element("pre", element("code", settings))),
    )


def without_local_paths(value: Any) -> Any:
    """Replace absolute paths, which say where somebody keeps patient data, in a configuration."""
    if isinstance(value, dict):
        return {key: without_local_paths(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_local_paths(inner) for inner in value]
    if isinstance(value, str) and re.match(r"/|~|[A-Za-z]:[\\/]", value):
        return "LOCAL_PATH"
    return value
