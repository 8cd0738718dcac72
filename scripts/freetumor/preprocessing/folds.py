"""Which case plays which part in which fold.

Patients, not cases, are divided; cases that are the same scan make their patients one. Nothing of a patient that is tested
in a fold, and nothing of an external patient, is seen in its training, not even without labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pandas as pd

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.labels import organ_of
from freetumor.core.seeding import generator
from freetumor.core.tables import CASES, DUPLICATES, FOLD_CASES, OVERLAPS, QUARANTINE, VOLUMES, make_table, write_table
from freetumor.preprocessing.duplicates import Pair, find_pairs
from freetumor.preprocessing.merge import concatenate
from freetumor.preprocessing.patients import check_sides, compare_overlaps, describe_pairs, find_components, join_patients
from freetumor.preprocessing.volumes import describe_refusals

DEVELOPMENT, EXTERNAL, POOL = "development", "external", "pool"


@dataclass(frozen=True)
class Patient:
    """A patient, and what must be spread over folds and parts.

    Attributes:
        name: unique over all sources.
        tumors: the study's tumors in any case.
        categories: the study's categories of any case.
    """

    name: str
    tumors: frozenset[str]
    categories: frozenset[str]

    @property
    def traits(self) -> str:
        """Name of the group of patients who are alike."""
        return ",".join(sorted(self.tumors | self.categories))


def assign_folds(
    config: Config,
    volume_tables: Sequence[Path],
    quarantine_tables: Sequence[Path],
    cases_output: Path,
    quarantine_output: Path,
    fold_outputs: Mapping[int, Path],
    duplicates_output: Path | None = None,
    overlaps_output: Path | None = None,
) -> None:
    """Write the table of all cases, of all refused cases, of duplicates, of sources that share scans, and one table per fold.

    Args:
        config: the study.
        volume_tables: volumes of each source.
        quarantine_tables: refused cases of each source.
        cases_output: output: all cases, with split, fold and reason of exclusion.
        quarantine_output: output: all refused cases.
        fold_outputs: output per fold: its cases with their part.
        duplicates_output: output: pairs of cases that are the same scan, if wanted.
        overlaps_output: output: sources that are said or found to share scans, if wanted.

    Raises:
        UserError: if the cases cannot serve the study: ids that collide, no tumors, too few patients.
    """
    refused = concatenate(quarantine_tables, QUARANTINE)
    volumes = concatenate(volume_tables, VOLUMES)
    pairs = find_pairs(volumes)
    cases = make_cases(config, volumes, pairs)
    folds = {fold: make_fold(config, cases, fold) for fold in fold_outputs}
    check_sides(dict(zip(volumes["case_id"], find_components(volumes, pairs), strict=True)), folds)
    write_table(refused, quarantine_output, QUARANTINE)
    if duplicates_output:
        write_table(make_table(describe_pairs(cases, pairs), DUPLICATES), duplicates_output, DUPLICATES)
    if overlaps_output:
        overlaps = compare_overlaps(pairs, volumes["source"].tolist(), declared_overlaps(config))
        write_table(make_table(overlaps.to_dict("records"), OVERLAPS), overlaps_output, OVERLAPS)
    write_table(cases, cases_output, CASES)
    for fold, table in folds.items():
        write_table(table.drop(columns="fingerprint"), fold_outputs[fold], FOLD_CASES)
        parts = table["part"].value_counts().sort_index()
        print(f"fold {fold}: " + ", ".join(f"{count} {part}" for part, count in parts.items()), flush=True)
    excluded = int((cases["excluded_because"] != "").sum())
    text = describe_refusals(refused.to_dict("records"))
    print(f"{config.study}: {len(cases)} cases, {excluded} excluded, {len(pairs)} pairs of copies, {text}", flush=True)


def declared_overlaps(config: Config) -> dict[str, set[str]]:
    """Of each public source of a study, the others that the catalog knows it to share scans with."""
    entries = {source.name: source.entry or source.name for source in config.sources if source.kind == "public"}
    if not entries:
        return {}
    from freetumor.download import catalog

    known = catalog.declared_overlaps()
    return {
        name: {other for other in entries if frozenset((entry, entries[other])) in known} for name, entry in entries.items()
    }


def make_cases(config: Config, volumes: pd.DataFrame, pairs: Sequence[Pair] | None = None) -> pd.DataFrame:
    """The table of all cases: split, exclusions, patients across sources, folds.

    Args:
        config: the study.
        volumes: of all sources.
        pairs: rows of ``volumes``, sorted by case id, that are the same scan; they are searched for if not given.

    Raises:
        UserError: see :func:`assign_folds`.
    """
    cases = volumes.sort_values("case_id", ignore_index=True)
    twice = cases.loc[cases["case_id"].duplicated(), "case_id"]
    if len(twice):
        sources = ", ".join(sorted(cases.loc[cases["case_id"] == twice.iloc[0], "source"]))
        raise UserError(f"case id '{twice.iloc[0]}' occurs more than once (sources {sources}); ids must be unique")
    external = {source.name for source in config.sources if source.split == "external"}
    is_external = cases["source"].isin(external)
    cases["split"] = np.where(is_external, EXTERNAL, np.where(cases["labeled"], DEVELOPMENT, POOL))
    cases["fold"] = -1
    cases["excluded_because"] = ""
    if config.categories:
        cases.loc[~cases["category"].isin(config.categories), "excluded_because"] = "none of the categories of the study"
    relevant = [bool(_structures(row, config.organs)) for _, row in cases.iterrows()]
    cases.loc[~np.array(relevant, bool), "excluded_because"] = "none of the organs of the study"
    cases.loc[is_external & ~cases["labeled"], "excluded_because"] = "external case without tumor labels"
    join_patients(cases, find_pairs(cases) if pairs is None else pairs, EXTERNAL)
    _check_cohort(config, cases)
    _divide(config, cases)
    return cases


def _structures(row: pd.Series, organs: Sequence[str]) -> set[str]:
    """Names of the organs and tumors of the study in a case."""
    names = [*row["organs"].split(","), *row["tumors"].split(",")]
    return {name for name in names if name and organ_of(name) in organs}


def _check_cohort(config: Config, cases: pd.DataFrame) -> None:
    """Refuse a study that could only fail later."""
    usable = cases[cases["excluded_because"] == ""]
    present = set().union(*(_structures(row, config.organs) for _, row in usable.iterrows()))
    for organ in config.organs:
        if organ not in present:
            raise UserError(f"organs: '{organ}' is labeled in no case; name it in a label_map or a host_rule, or drop it")
    development = usable[usable["split"] == DEVELOPMENT]
    if not len(development):
        raise UserError("sources: no case with annotated tumors is left for development")
    if not any(_tumors(row, config.organs) for _, row in development.iterrows()):
        raise UserError("sources: no labeled development case has a tumor of any of the organs " + ", ".join(config.organs))
    absent = sorted(set(config.categories).difference(development["category"]), key=config.categories.index)
    if absent:
        raise UserError(f"categories: no labeled development case is of the category {' or '.join(absent)}")
    patients = development["patient_id"].nunique()
    if config.cohort.folds > patients:
        raise UserError(f"cohort.folds: {config.cohort.folds} folds, but only {patients} labeled patients")


def _tumors(row: pd.Series, organs: Sequence[str]) -> set[str]:
    return {name for name in row["tumors"].split(",") if name and organ_of(name) in organs}


def _patients(cases: pd.DataFrame, config: Config) -> list[Patient]:
    """Patients of a table, sorted by name."""
    return [
        Patient(
            str(name),
            frozenset().union(*(_tumors(row, config.organs) for _, row in rows.iterrows())),
            frozenset(rows["category"]).intersection(config.categories),
        )
        for name, rows in cases.groupby("patient_id", sort=True)
    ]


def _divide(config: Config, cases: pd.DataFrame) -> None:
    """Deal the labeled development patients to the folds, in place.

    Patients with the same tumors and categories lie side by side, in a random order, and are dealt one by one to the folds
    in turn: so neither the sizes of the folds nor their shares of any such group differ by more than one patient.
    """
    mine = (cases["split"] == DEVELOPMENT) & (cases["excluded_because"] == "")
    strata: dict[str, list[str]] = {}
    for patient in _patients(cases[mine], config):
        strata.setdefault(patient.traits, []).append(patient.name)
    dealt: list[str] = []
    for traits, names in sorted(strata.items()):
        dealt += [str(name) for name in generator(config.seed, "folds", traits).permutation(names)]
    turn = generator(config.seed, "folds").permutation(config.cohort.folds)
    fold_of = {name: int(turn[place % config.cohort.folds]) for place, name in enumerate(dealt)}
    cases.loc[mine, "fold"] = [fold_of[name] for name in cases.loc[mine, "patient_id"]]


def make_fold(config: Config, cases: pd.DataFrame, fold: int) -> pd.DataFrame:
    """The cases of a fold with their part: train, validation, test or pool.

    Raises:
        UserError: if fewer than two patients with tumors are left to train and validate on, or none of some category.
    """
    usable = cases[cases["excluded_because"] == ""].copy()
    development = usable["split"] == DEVELOPMENT
    usable["part"] = ""
    usable.loc[development & (usable["fold"] == fold), "part"] = "test"
    usable.loc[(usable["split"] == EXTERNAL) & usable["labeled"], "part"] = "test"
    learning = development & (usable["fold"] != fold)
    for category in config.categories:
        if category not in set(usable.loc[learning, "category"]):
            raise UserError(f"categories: fold {fold} leaves no patient with the category '{category}' to train on")
    part_of = choose_parts(_patients(usable[learning], config), config, fold)
    usable.loc[learning, "part"] = [part_of[name] for name in usable.loc[learning, "patient_id"]]
    held_out = set(usable.loc[usable["part"].isin(["test", "validation"]), "patient_id"])
    usable.loc[(usable["split"] == POOL) & ~usable["patient_id"].isin(held_out), "part"] = "pool"
    hidden = learning & (usable["part"] == "pool")
    usable.loc[hidden, ["labeled", "tumors", "tumor_ml", "category"]] = [False, "", 0.0, ""]
    return usable[usable["part"] != ""].sort_values("case_id", ignore_index=True)


def choose_parts(patients: Sequence[Patient], config: Config, fold: int) -> dict[str, str]:
    """The part of each patient on the training side of a fold.

    Patients with tumors are put into a random order whose head shows every organ's tumor; training takes the head,
    validation the tail, for each group of patients with the same categories. Beyond ``cohort.labeled_limit`` the training
    patients with tumors join the pool.
    """
    rng = generator(config.seed, "parts", fold)
    shuffled = [patients[index] for index in rng.permutation(len(patients))]
    diseased = [patient for patient in shuffled if patient.tumors]
    healthy = [patient for patient in shuffled if not patient.tumors]
    if len(diseased) < 2:
        raise UserError(
            f"cohort.folds: fold {fold} leaves {len(diseased)} labeled patients with tumors to train and validate on, "
            "at least 2 are needed"
        )
    share = config.cohort.validation
    heads, parts = [], {}
    for categories in sorted({patient.categories for patient in diseased}, key=sorted):
        group = _varied_first([patient for patient in diseased if patient.categories == categories])
        checked = min(max(1, round(share * len(group))), len(group) - 1)
        heads.append(group[: len(group) - checked])
        parts |= {patient.name: "validation" for patient in group[len(group) - checked :]}
    if not parts:
        raise UserError(f"cohort.folds: fold {fold} leaves one labeled patient per category, and none to validate on")
    training = [patient for turn in zip_longest(*heads) for patient in turn if patient]  # one of each group in turn
    limit = config.cohort.labeled_limit or len(training)
    parts |= {patient.name: "train" if place < limit else "pool" for place, patient in enumerate(training)}
    free = round(share * len(healthy))
    return parts | {patient.name: "validation" if place < free else "train" for place, patient in enumerate(healthy)}


def _varied_first(patients: Sequence[Patient]) -> list[Patient]:
    """Reorder so that every next patient shows the most tumor classes that were shown least; ties keep their order."""
    rest, result = list(patients), []
    shown: dict[str, int] = {name: 0 for patient in rest for name in patient.tumors}
    while rest:
        least = min(shown.values())
        best = max(range(len(rest)), key=lambda place: (sum(shown[n] == least for n in rest[place].tumors), -place))
        result.append(rest.pop(best))
        for name in result[-1].tumors:
            shown[name] += 1
        shown = {name: shown[name] for name in shown if any(name in patient.tumors for patient in rest)}
    return result
