"""Patients across sources: cases that are the same scan make their patients one, and no patient is on two sides of a split."""

from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from freetumor.preprocessing.duplicates import Pair, connect

PART = "part"  # pairs of this kind share a patient, but not all of their voxels
SIDES = {"test": "test", "validation": "validation", "train": "training", "pool": "training"}


def find_components(cases: pd.DataFrame, pairs: Sequence[Pair]) -> list[int]:
    """The component of each case, by its least row: cases of one patient of a source, and all that are the same scan."""
    keys = list(zip(cases["source"], cases["patient_id"], strict=True))
    first = {key: place for place, key in reversed(list(enumerate(keys)))}
    return connect(len(cases), [*((first[key], place) for place, key in enumerate(keys)), *pairs])


def join_patients(cases: pd.DataFrame, pairs: Sequence[Pair], external: str) -> None:
    """Name patients over all sources, and exclude cases that are copies, or patients of the other side; in place.

    Args:
        cases: with ``split`` and ``excluded_because``.
        pairs: rows that are the same scan; of those that share a part only, none is excluded.
        external: the split that wins over all others.
    """
    components = find_components(cases, pairs)
    cases["patient_id"] = _patient_names(cases, components)
    rank = [
        (split != external, not labeled, case_id)
        for split, labeled, case_id in zip(cases["split"], cases["labeled"], cases["case_id"], strict=True)
    ]
    scans = connect(len(cases), [pair for pair in pairs if pair.kind != PART])
    usable = cases["excluded_because"] == ""
    for places in pd.Series(range(len(cases))).groupby(scans).apply(list):
        kept, *copies = sorted((place for place in places if usable[place]), key=rank.__getitem__) or [None]
        for place in copies:
            cases.loc[place, "excluded_because"] = f"duplicate of {cases.loc[kept, 'case_id']}"
    for places in pd.Series(range(len(cases))).groupby(components).apply(list):
        outside = [cases.loc[place, "case_id"] for place in places if cases.loc[place, "split"] == external]
        for place in places:
            if outside and cases.loc[place, "split"] != external and not cases.loc[place, "excluded_because"]:
                cases.loc[place, "excluded_because"] = f"same patient as external case {outside[0]}"


def _patient_names(cases: pd.DataFrame, components: Sequence[int]) -> list[str]:
    """One name per component: its first patient id, with the source in front if another component has the same."""
    names = {root: cases["patient_id"].iloc[root] for root in sorted(set(components))}
    owners = pd.Series(components).groupby(cases["patient_id"].to_numpy()).nunique()
    shared = {name for name, count in owners.items() if count > 1}
    full = {root: f"{cases['source'].iloc[root]}:{name}" if name in shared else name for root, name in names.items()}
    return [full[root] for root in components]


def check_sides(components: Mapping[str, int], folds: Mapping[int, pd.DataFrame]) -> None:
    """Fail if a component is tested or validated on in a fold, and learned from in the same fold.

    Args:
        components: of each case, by its id, from :func:`find_components` before patients were renamed.
        folds: table of ``core.tables.FOLD_CASES`` of each fold.

    Raises:
        AssertionError: never, unless this program has an error; a comparison built on such a split would be worthless.
    """
    for fold, table in folds.items():
        sides: dict[int, str] = {}
        for case_id, part in zip(table["case_id"], table["part"], strict=True):
            side = sides.setdefault(components[case_id], SIDES[part])
            if side != SIDES[part]:
                raise AssertionError(f"fold {fold}: {case_id} is in {SIDES[part]}, and the same scan or patient in {side}")


def describe_pairs(cases: pd.DataFrame, pairs: Sequence[Pair]) -> list[dict[str, object]]:
    """Rows of ``core.tables.DUPLICATES``: what was found, and where it went."""
    columns = [cases[name].tolist() for name in ("case_id", "source", "split", "fold", "excluded_because")]
    rows = []
    for one, other, kind, correlation in pairs:
        record: dict[str, object] = {
            "kind": kind,
            "correlation": round(correlation, 4),
            "patient_id": cases["patient_id"].iloc[one],
        }
        for prefix, place in (("", one), ("other_", other)):
            case_id, source, split, fold, reason = (column[place] for column in columns)
            where = reason or (f"{split}, fold {fold}" if fold >= 0 else split)
            record |= {f"{prefix}case_id": case_id, f"{prefix}source": source, f"{prefix}outcome": where}
        rows.append(record)
    return rows


def compare_overlaps(pairs: Sequence[Pair], sources: Sequence[str], declared: Mapping[str, Collection[str]]) -> pd.DataFrame:
    """Set what sources are said to share beside what they were found to share.

    Args:
        pairs: rows that are the same scan.
        sources: source of each row.
        declared: of each source, the names of others that it shares scans with; said by either of two, it holds for both.

    Returns:
        ``source``, ``other`` (in the order of the alphabet), ``declared``, and ``found``, the number of pairs; one row for
        each two sources of the table that are said or found to share scans, and for each one that repeats scans of its own.
    """
    present = set(sources)
    said = {tuple(sorted((one, other))) for one, others in declared.items() for other in others if {one, other} <= present}
    found: dict[tuple[str, str], int] = {}
    for one, other, *_ in pairs:
        key = tuple(sorted((sources[one], sources[other])))
        found[key] = found.get(key, 0) + 1
    rows = [(*key, key in said, found.get(key, 0)) for key in sorted(said | set(found))]
    return pd.DataFrame(rows, columns=["source", "other", "declared", "found"])
