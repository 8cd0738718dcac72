"""A bank of chosen lesions out of one or more banks: merged, filtered, with a statistics sheet; it copies the blocks."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from freetumor.core.errors import UserError
from freetumor.core.files import write_text
from freetumor.core.tables import MANIFEST, NUMBER, TEXT, Schema, read_table, write_table
from freetumor.synthesizer.synthetic import ACCEPTED

from .bank import read_block, record_block, write_pack

QUANTILES = (0.05, 0.5, 0.95)
STATISTICS = Schema("statistics of a bank", {"synthesizer": TEXT, "organ": TEXT, "quantity": TEXT, "value": NUMBER})
NOTE = """A bank of synthetic lesions: {lesions} lesions for {cases} scans.

It holds no scan. A block is what a lesion adds to the voxels of its parent, and a checksum of those voxels; lesions that were
transplanted (copy-paste) hold the difference between two patients' voxels, from which a part of the donor can be computed by
whoever has the parent. manifest.parquet names parents by the case and patient ids of the study: replace them before you
hand the bank to others if they identify anyone.
"""


def merge_banks(manifests: Sequence[Path], output: Path, query: str = "") -> None:
    """Write the accepted lesions of banks that match a query as a bank of their own.

    Beside ``output`` lie the packs, ``statistics.csv`` and ``README.txt``. Lesions of different banks never share a variant.

    Args:
        manifests: manifests of the banks.
        output: manifest of the new bank.
        query: condition on the columns of a manifest, in the language of ``pandas.DataFrame.query``, such as
            ``organ == "liver" and diameter_mm <= 20``; empty for all.

    Raises:
        UserError: if the query is not valid, nothing matches, banks disagree about a parent, or one is damaged.
    """
    rows = _collect(manifests, query)
    if not len(rows):
        raise UserError(f"{output}: no accepted lesion matches the query '{query}'")
    changed = rows.groupby("case_id")["parent_hash"].nunique()
    if (changed > 1).any():
        raise UserError(f"{output}: the banks were painted on different volumes of {changed.idxmax()}")
    written = [row for _, group in rows.groupby("case_id", sort=True) for row in _repack(group, output.parent)]
    table = pd.DataFrame(written)[list(MANIFEST.columns)]
    write_table(statistics(table), output.with_name("statistics.csv"), STATISTICS)
    write_text(output.with_name("README.txt"), NOTE.format(lesions=len(table), cases=table["case_id"].nunique()))
    write_table(table, output, MANIFEST)


def statistics(rows: pd.DataFrame) -> pd.DataFrame:
    """How many lesions, parents and patients, and quantiles of diameter and contrast, per synthesizer and organ."""
    found = []
    for (synthesizer, organ), group in rows.groupby(["synthesizer", "organ"], sort=True):
        numbers = {"lesions": len(group), "cases": group["case_id"].nunique(), "patients": group["patient_id"].nunique()}
        numbers["bytes_per_lesion"] = group["bytes"].mean()
        for column in ("diameter_mm", "contrast_hu"):
            numbers |= {f"{column}_q{round(100 * q):02d}": group[column].quantile(q) for q in QUANTILES}
        found += [(synthesizer, organ, name, float(value)) for name, value in numbers.items()]
    return pd.DataFrame(found, columns=list(STATISTICS.columns))


def _collect(manifests: Sequence[Path], query: str) -> pd.DataFrame:
    """The accepted rows that match, with the manifest that each comes from."""
    tables = []
    for manifest in manifests:
        rows = read_table(manifest, MANIFEST)
        tables.append(rows[rows["outcome"] == ACCEPTED].assign(manifest=str(manifest)))
    rows = pd.concat(tables, ignore_index=True)
    try:
        rows = rows.query(query) if query else rows
    except Exception as error:
        raise UserError(f"query '{query}': {error}; expected a condition on {', '.join(MANIFEST.columns)}") from error
    return rows.sort_values(["case_id", "manifest", "draw"], kind="stable")


def _repack(rows: pd.DataFrame, folder: Path) -> Iterable[dict]:
    """Write the pack of a parent; its rows with their new places."""
    several = rows["manifest"].nunique() > 1
    variants = {key: number for number, key in enumerate(dict.fromkeys(zip(rows["manifest"], rows["variant"], strict=True)))}
    patch, written, blocks, offset = f"bank/{rows['case_id'].iloc[0]}.pack", [], [], 0
    for number, (_, row) in enumerate(rows.iterrows()):
        block = read_block(row["manifest"], row)
        name = f"{row['lesion_id']}.{row['synthesizer']}" if several else row["lesion_id"]
        place = {"lesion_id": name, "patch": patch, "draw": number, "variant": variants[row["manifest"], row["variant"]]}
        written.append(row.drop("manifest").to_dict() | place | record_block(block, offset))
        blocks.append(block)
        offset += len(block)
    write_pack(folder / patch, written, blocks, "merged")
    return written
