"""Names inside an archive that are safe to create: below the folder, one file each, on every file system.

A name that a file system would read otherwise than the archive says is refused, never mended: mending is how two different
members become one file.
"""

import re
import unicodedata

LONGEST_PART, LONGEST_NAME, DEEPEST = 255, 1024, 32  # bytes, bytes, folders
DRIVE = re.compile(r"[A-Za-z]:")
SHOWN = 60  # characters of a name in a message


class Refused(Exception):
    """An archive that must not be unpacked; the message is half a line that says why."""


def show(name: str) -> str:
    """A name for a message: on one line, without control characters, cut if long."""
    text = ascii(name)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}...'"


def safe_parts(name: str) -> tuple[str, ...]:
    """The folders and the last part of a member's name; empty for the folder itself (``./``).

    Raises:
        Refused: if the name could lie outside the folder, or means different things to different systems.
    """
    if "\0" in name or any(unicodedata.category(character) == "Cc" for character in name):
        raise Refused(f"the name {show(name)} has a control character")
    if name.startswith("/") or DRIVE.match(name):
        raise Refused(f"the name {show(name)} is absolute")
    if "\\" in name:
        raise Refused(f"the name {show(name)} has a backslash, which is a folder on some systems")
    try:
        length = len(name.encode())
    except UnicodeEncodeError as error:
        raise Refused(f"the name {show(name)} is not UTF-8") from error
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise Refused(f"the name {show(name)} leads out of its folder")
    if length > LONGEST_NAME or len(parts) > DEEPEST or any(len(part.encode()) > LONGEST_PART for part in parts):
        raise Refused(f"the name {show(name)} is too long or too deep")
    return parts


class Names:
    """What an archive has created so far: no file twice, no file where a folder is, no two names that look alike."""

    def __init__(self) -> None:
        self.spellings: dict[tuple[str, ...], tuple[str, ...]] = {}
        self.files: set[tuple[str, ...]] = set()
        self.folders: set[tuple[str, ...]] = set()

    def add(self, parts: tuple[str, ...], is_folder: bool) -> None:
        """Count a member in.

        Raises:
            Refused: if it meets another one.
        """
        for depth in range(1, len(parts) + 1):
            self._spell(parts[:depth])
            if depth < len(parts):
                self._add_folder(parts[:depth])
        if is_folder:
            self._add_folder(parts)
        elif parts in self.files or parts in self.folders:
            raise Refused(f"the name {show('/'.join(parts))} occurs twice")
        else:
            self.files.add(parts)

    def _spell(self, parts: tuple[str, ...]) -> None:
        """Names that differ in case or in how accents are encoded are one file on some systems."""
        known = self.spellings.setdefault(tuple(_folded(part) for part in parts), parts)
        if known != parts:
            raise Refused(f"the names {show('/'.join(known))} and {show('/'.join(parts))} are the same on some systems")

    def _add_folder(self, parts: tuple[str, ...]) -> None:
        if parts in self.files:
            raise Refused(f"{show('/'.join(parts))} is a file and a folder")
        self.folders.add(parts)


def _folded(part: str) -> str:
    """Canonical caseless form (The Unicode Standard, 3.13, D145)."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", part).casefold())
