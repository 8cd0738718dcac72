"""A shard of a source: every case prepared or refused, in as many processes as wanted, with the same result."""

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pandas as pd

from freetumor.core.code import code_hash
from freetumor.core.config import Config
from freetumor.core.errors import DiskFull, TooManyRefused, UserError
from freetumor.core.progress import Progress
from freetumor.core.seeding import shard_of
from freetumor.core.tables import QUARANTINE, RAW_CASES, VOLUMES, make_table, read_table, write_table
from freetumor.core.workers import process_pool
from freetumor.preprocessing.case import ARRAYS, prepare_case
from freetumor.preprocessing.organ_labels import add_organ_labels
from freetumor.preprocessing.quarantine import CaseRefused, quarantine_row
from freetumor.preprocessing.recipe import Recipe
from freetumor.preprocessing.structures import structure_codes

SMALL_SHARD = 20  # cases; in a smaller part of a source the share of refused cases is left to chance, and not judged
Outcome = tuple[dict[str, Any] | None, dict[str, str] | None]  # a row of volumes, or one of quarantine


def preprocess_shard(
    config: Config,
    source: str,
    cases: Path,
    shard: int,
    output: Path,
    quarantine: Path,
    work: Path,
    workers: int = 1,
    organ_labels: Path | None = None,
) -> None:
    """Prepare all cases of a shard of a source; write the tables of volumes and of refused cases.

    Args:
        config: the study; its working preset, its checks and the source's settings count.
        source: name of the source.
        cases: table of the raw cases of the whole source.
        shard: number of the shard, below ``shards`` of the source.
        output: table of volumes (Parquet).
        quarantine: table of refused cases (TSV).
        work: folder of the arrays; valid ones are kept.
        workers: processes. The result does not depend on them.
        organ_labels: table of the labels that the source's command made for this shard, if it has one.

    Raises:
        UserError: if more cases are refused than ``checks.max_quarantined``, or none is left. Parts of a source with
            fewer than 20 cases are judged when they are merged.
    """
    settings = config.source(source)
    if not 0 <= shard < settings.shards:
        raise UserError(f"--shard: {shard} is not a shard of {source}; shards are 0 to {settings.shards - 1}")
    table = read_table(cases, RAW_CASES).sort_values("case_id")
    _check_cases(table, source, cases)
    host_rule = dict(getattr(settings, "host_rule", {}))
    outlined = getattr(settings, "structure", "")
    command = getattr(settings, "organ_labels", None)
    derived = [*host_rule, *filter(None, [outlined]), *(command.label_map.values() if command else [])]
    recipe = Recipe(
        preset=config.working,
        checks=config.checks,
        codes=structure_codes(table["labels"], derived),
        host_rule=host_rule,
        outlined=outlined,
        code=code_hash(__file__),
    )
    mine = table[[shard_of(case_id, settings.shards) == shard for case_id in table["case_id"]]]
    raws, refused = mine.to_dict("records"), []
    if command is not None:
        raws, refused = add_organ_labels(raws, organ_labels, command)
    outcomes = run_cases(raws, recipe, Path(work), workers, f"preprocess {source} {shard}")
    rows = [row for row, _ in outcomes if row is not None]
    refused += [refusal for _, refusal in outcomes if refusal is not None]
    write_table(make_table(refused, QUARANTINE), quarantine, QUARANTINE)
    print(f"{source}, shard {shard}: {len(rows)} volumes, {describe_refusals(refused)}", flush=True)
    if settings.shards == 1 or len(mine) >= SMALL_SHARD:
        check_share(len(rows), refused, config.checks.max_quarantined, config.checks.tolerated_refusals, source)
    write_table(make_table(rows, VOLUMES), output, VOLUMES)


def describe_refusals(refused: list[Mapping[str, str]]) -> str:
    """``3 refused (2 gzip_damaged, 1 spacing)``."""
    counts = Counter(row["code"] for row in refused)
    reasons = ", ".join(f"{count} {code}" for code, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:5])
    return f"{len(refused)} refused ({reasons})" if refused else "none refused"


def check_share(volumes: int, refused: list[Mapping[str, str]], most: float, tolerated: int, source: str) -> None:
    """Fail if too many cases were refused, or none is left.

    Raises:
        TooManyRefused: naming the most frequent reasons and the first case.
    """
    total = volumes + len(refused)
    if not refused or (volumes and len(refused) <= max(most * total, tolerated)):
        return
    first = refused[0]
    raise TooManyRefused(
        f"{source}: {describe_refusals(refused)} of {total} cases, checks.max_quarantined allows {most:.0%}; "
        f"the first is {first['case_id']}: {first['path']}: {first['reason']}"
    )


def run_cases(raws: list[dict[str, Any]], recipe: Recipe, work: Path, workers: int, label: str) -> list[Outcome]:
    """Outcomes of all cases, in the order of ``raws``."""
    progress = Progress(label, len(raws), "case")
    outcomes: dict[int, Outcome] = {}
    for index, outcome in _run(raws, recipe, work, workers):
        outcomes[index] = outcome
        progress.advance()
    return [outcomes[index] for index in range(len(raws))]


def try_case(raw: dict[str, Any], recipe: Recipe, work: Path) -> Outcome:
    """Prepare a case; every failure becomes a row of the quarantine table."""
    try:
        return prepare_case(raw, recipe, work), None
    except CaseRefused as error:
        return None, quarantine_row(raw["case_id"], error)
    except DiskFull:
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return None, quarantine_row(raw["case_id"], CaseRefused("unexpected", raw["image"], text))


def _run(raws: list[dict[str, Any]], recipe: Recipe, work: Path, workers: int) -> Iterator[tuple[int, Outcome]]:
    """Yield index and outcome of each case as it is done."""
    if workers <= 1:
        yield from ((index, try_case(raw, recipe, work)) for index, raw in enumerate(raws))
        return
    lost = []
    with process_pool(workers) as pool:
        waiting = {pool.submit(try_case, raw, recipe, work): index for index, raw in enumerate(raws)}
        for future in as_completed(waiting):
            outcome = _outcome(future)
            if outcome is None:
                lost.append(waiting[future])
            else:
                yield waiting[future], outcome
    yield from _retry(sorted(lost), raws, recipe, work)


def _retry(lost: list[int], raws: list[dict[str, Any]], recipe: Recipe, work: Path) -> Iterator[tuple[int, Outcome]]:
    """Run again, one by one, what a killed process took along: now only the guilty case fails."""
    while lost:
        with process_pool(1) as pool:
            while lost:
                index = lost.pop(0)
                _sweep(raws[index], work)
                outcome = _outcome(pool.submit(try_case, raws[index], recipe, work))
                yield index, outcome or (None, _lost(raws[index], work))
                if outcome is None:
                    break


def _outcome(future: Future) -> Outcome | None:
    """The outcome, or ``None`` if the process was killed."""
    try:
        return future.result()
    except BrokenProcessPool:
        return None


def _sweep(raw: Mapping[str, Any], work: Path) -> None:
    """Remove the temporary files of a case whose process was killed, or ended along with a killed one."""
    for suffix in (*ARRAYS.values(), "json"):
        for path in work.glob(f".{raw['case_id']}.{suffix}.*.tmp*"):
            path.unlink(missing_ok=True)


def _lost(raw: Mapping[str, Any], work: Path) -> dict[str, str]:
    """Row of a case whose process was killed."""
    _sweep(raw, work)
    text = "the process was killed, most often for lack of memory"
    return quarantine_row(raw["case_id"], CaseRefused("worker_lost", raw["image"], text))


def _check_cases(table: pd.DataFrame, source: str, path: Path) -> None:
    """Ids must be unique, and safe as file names."""
    bad = table.loc[~table["case_id"].str.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"), "case_id"]
    if len(bad):
        raise UserError(f"{path}: '{bad.iloc[0]}' is not a case id (letters, digits, '_', '.', '-', at most 64)")
    twice = table.loc[table["case_id"].duplicated(), "case_id"]
    if len(twice):
        raise UserError(f"{path}: case id '{twice.iloc[0]}' occurs twice in source {source}")
