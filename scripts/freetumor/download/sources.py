"""From a configured source to its table of raw cases, whatever kind of source it is."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from freetumor.core.config import Config, FolderSource, PhantomSource, PublicSource, RoiFolderSource, RoiPhantomSource, Source
from freetumor.core.errors import UserError
from freetumor.core.tables import RAW_CASES, make_table, write_table


@dataclass(frozen=True)
class Kind:
    """What a kind of source can do.

    Attributes:
        check: raise a :class:`UserError` for what is plainly wrong, within milliseconds; the Snakefile calls it.
        download: make the raw files and write the table of cases to a path, with a number of worker processes.
        surroundings: what decides on its cases beside its own keys, as text.
    """

    check: Callable[[Source], None]
    download: Callable[[Config, Source, Path, int], None]
    surroundings: Callable[[Source], str] = lambda source: ""


def check_source(source: Source) -> None:
    """Raise a :class:`UserError` if a source cannot possibly be downloaded; looks at file names only."""
    KINDS[source.kind].check(source)


def surroundings_of(source: Source) -> str:
    """What decides on the cases of a source beside its own keys; a change of it downloads the source again."""
    return KINDS[source.kind].surroundings(source)


def download_source(config: Config, name: str, output: Path, workers: int = 1) -> None:
    """Download, make or index one source and write its table of raw cases.

    Args:
        config: the study.
        name: name of one of its sources.
        output: table to write, ``results/data/<source>/cases.csv``. Files that are made lie beside it; the paths in the
            table start with its folder.
        workers: processes; the result does not depend on it.

    Raises:
        UserError: if there is no such source, or its files are not where the configuration says.
    """
    known = [source.name for source in config.sources]
    if name not in known:
        raise UserError(f"sources: '{name}' is not the name of a source; known are {', '.join(known)}")
    source = config.source(name)
    KINDS[source.kind].download(config, source, Path(output), workers)


def _check_phantom(source: PhantomSource) -> None:
    if source.labeled + source.tumor_free + source.unlabeled == 0:
        raise UserError(f"sources.{source.name}: a phantom source needs at least one case")


def _download_phantom(config: Config, source: PhantomSource, output: Path, workers: int) -> None:
    from freetumor.download.phantom import download_phantom

    _check_phantom(source)
    download_phantom(source, output, workers)


def _check_folder(source: FolderSource) -> None:
    from freetumor.download import folder

    folder.check_source(source)


def _download_folder(config: Config, source: FolderSource, output: Path, workers: int) -> None:
    from freetumor.download.folder import check_structures, index_folder

    check_structures(source, config.organs)
    rows = index_folder(source)
    if source.identity == "keyed":
        from freetumor.download.pseudonyms import conceal

        rows = conceal(rows, source.name, output.parent.parent.parent)
    write_table(make_table(rows, RAW_CASES), output)
    print(f"{source.name}: {len(rows)} cases, {sum(row['labeled'] for row in rows)} with annotated tumors")


def _check_public(source: PublicSource) -> None:
    from freetumor.download import public

    public.check_source(source)


def _download_public(config: Config, source: PublicSource, output: Path, workers: int) -> None:
    from freetumor.download.public import download_public

    download_public(config, source, output)


def _surroundings_of_public(source: PublicSource) -> str:
    from freetumor.download import public

    return public.surroundings(source)


def _check_nothing(source: Source) -> None:
    """For sources that the configuration's own checks leave nothing to say about."""


def _download_roi_phantom(config: Config, source: RoiPhantomSource, output: Path, workers: int) -> None:
    from freetumor.download.roi_phantom import download_roi_phantom

    for category in source.lesions:
        if category not in config.categories:
            raise UserError(
                f"sources.{source.name}.lesions: '{category}' is not among categories ({', '.join(config.categories)})"
            )
    download_roi_phantom(source, output, workers)


def _check_roi_folder(source: RoiFolderSource) -> None:
    from freetumor.download import roi_folder

    roi_folder.check_source(source)


def _download_roi_folder(config: Config, source: RoiFolderSource, output: Path, workers: int) -> None:
    from freetumor.download.roi_folder import index_rois

    _check_roi_folder(source)
    rows = index_rois(source, config.categories, output)
    write_table(make_table(rows, RAW_CASES), output)
    counts = Counter(row["category"] for row in rows)
    print(f"{source.name}: {len(rows)} lesions, " + ", ".join(f"{counts[name]} {name}" for name in config.categories))


KINDS: dict[str, Kind] = {
    "phantom": Kind(_check_phantom, _download_phantom),
    "folder": Kind(_check_folder, _download_folder),
    "public": Kind(_check_public, _download_public, _surroundings_of_public),
    "roi_phantom": Kind(_check_nothing, _download_roi_phantom),
    "roi_folder": Kind(_check_roi_folder, _download_roi_folder),
}
