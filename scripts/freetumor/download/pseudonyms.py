"""Names that give nobody away: keyed ids, and links that stand for files whose names or folders tell who the patient is.

The key and the links lie in a vault, a folder outside the results that only its owner can read. A link is called after the id
of its case; so tables, quarantine and logs of all later stages can name a file without naming a person, and the owner of the
vault finds the file by following the link. Reference: HMAC, RFC 2104, with SHA-256.
"""

import hashlib
import hmac
import json
import os
import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from freetumor.core.errors import UserError
from freetumor.download.folder import SUFFIXES

VARIABLE, DEFAULT = "FREETUMOR_IDENTITY", "~/.freetumor/identity"
KEY_FILE = "key"
SHORTEST_KEY = 32  # characters
DIGITS = 20  # of an id: 80 bits, so that 10 million ids collide with a chance below 1 in 10 billion
DETACHED = re.compile(r"\.(mhd|nhdr|hdr|img)$", re.IGNORECASE)  # headers that name another file


def conceal(rows: Sequence[Mapping[str, Any]], source: str, results: Path) -> list[dict[str, Any]]:
    """Replace ids and paths of raw cases by keyed ids and links.

    Args:
        rows: rows of ``core.tables.RAW_CASES``.
        source: name of the source; the same name in two sources gives two ids.
        results: folder that must not hold the vault.

    Returns:
        The rows, sorted by their new ids. Image and labels are links in the vault; a DICOM series is a folder of links.

    Raises:
        UserError: if the vault lies in the results, its key is short, or an image names a further file.
    """
    vault = open_vault(results)
    key = read_key(vault)
    detached = sum(bool(DETACHED.search(path)) for row in rows for path in _paths(row))
    if detached:
        text = f"{detached} files have their voxels in another file, whose name would remain; convert them to .mha or .nii.gz"
        raise UserError(f"sources.{source}.identity: {text}")
    staging, folder = vault / f".{source}.new", vault / source
    shutil.rmtree(staging, ignore_errors=True)
    concealed = [_conceal_row(row, key, source, staging, folder) for row in rows]
    shutil.rmtree(folder, ignore_errors=True)
    staging.rename(folder)
    return sorted(concealed, key=lambda row: row["case_id"])


def open_vault(results: Path) -> Path:
    """The vault's folder, made if it is not there.

    Raises:
        UserError: if it lies in the results, which people pass on.
    """
    vault = Path(os.environ.get(VARIABLE) or DEFAULT).expanduser().absolute()
    if vault.resolve().is_relative_to(results.resolve()):
        raise UserError(f"{VARIABLE}: {vault} lies in the results; expected a folder that is never passed on")
    vault.mkdir(0o700, parents=True, exist_ok=True)
    return vault


def read_key(vault: Path) -> bytes:
    """The key of the vault; a random one is written if there is none.

    Raises:
        UserError: if it is too short to protect anything.
    """
    path = vault / KEY_FILE
    if not path.exists():
        temporary = vault / f".{KEY_FILE}.{os.getpid()}"
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            stream.write(secrets.token_hex(32) + "\n")
        try:
            path.hardlink_to(temporary)  # unlike a rename it keeps a key that another process wrote meanwhile
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    key = path.read_bytes().strip()
    if len(key) < SHORTEST_KEY:
        raise UserError(f"{path}: a key of {len(key)} characters; expected at least {SHORTEST_KEY}, chosen at random")
    return key


def pseudonym(key: bytes, *names: str) -> str:
    """The id that stands for a name: a keyed hash, in hexadecimal digits."""
    message = b"".join(len(part).to_bytes(4, "little") + part for part in (name.encode() for name in names))
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:DIGITS]


def _paths(row: Mapping[str, Any]) -> list[str]:
    return [row["image"], *(entry["path"] for entry in json.loads(row["labels"]))]


def _conceal_row(row: Mapping[str, Any], key: bytes, source: str, staging: Path, folder: Path) -> dict[str, Any]:
    case_id = pseudonym(key, source, "case", row["case_id"])
    (staging / case_id).mkdir(parents=True)
    labels = json.loads(row["labels"])
    for number, entry in enumerate(labels):
        entry["path"] = (folder / case_id / _link(Path(entry["path"]), staging / case_id, f"label{number}")).as_posix()
    return {
        **row,
        "case_id": case_id,
        "patient_id": pseudonym(key, source, "patient", row["patient_id"]),
        "image": (folder / case_id / _link(Path(row["image"]), staging / case_id, "image")).as_posix(),
        "labels": json.dumps(labels),
    }


def _link(path: Path, place: Path, name: str) -> str:
    """Link a file, or each file of a folder by its number; return the name of what was made."""
    if not path.is_dir():
        name += SUFFIXES.search(path.name).group().lower()
        (place / name).symlink_to(path.absolute())
        return name
    (place / name).mkdir()
    for number, file in enumerate(sorted(file for file in path.rglob("*") if file.is_file())):
        (place / name / f"{number:05d}").symlink_to(file.absolute())
    return name
