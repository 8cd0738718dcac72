"""What jobs on scans and on tables take by the measured costs, before any margin; see ``loads``."""

from .config import Config, Source
from .known_costs import costs
from .loads import (
    Load,
    attempts_of,
    draw,
    fold_load,
    images_mb,
    memory_of,
    painting_networks,
    patch_voxels,
    prediction,
    start,
    weights_mb,
)
from .network_sizes import segmenter_size
from .scans import PARTS, Scans

GROWTH = 1.77  # of the search for copies: 3.4 times as long for twice as many scans, docs/explanation/duplicates.md
MEASURED = 400  # lesions of a kind and organ that are looked at, as in evaluation.lesion_crops
LESIONS = 10  # real ones of a scan, more than most have
WORKERS = 2  # processes of a shard of preprocessing, see rules/preprocessing.smk


def preprocessing(config: Config, source: Source, scans: Scans) -> Load:
    """A shard of a source."""
    known, ruled = costs(), bool(getattr(source, "host_rule", None))
    begin = start().megabytes
    held = memory_of("voxel looked at by a rule" if ruled else "voxel read") * scans.native
    held += begin + memory_of("resampled voxel") * scans.stored
    seconds = known["jobs", "voxel looked at by a rule"] if ruled else known["preprocessing", "reading and checking"]
    seconds = (
        seconds * scans.mean_native + known["jobs", "resampled voxel"] * scans.mean_stored + known["jobs", "prepared case"]
    )
    shard = scans.count / source.shards
    rows = memory_of("row of a source") * scans.count / 1e3
    return Load(WORKERS * held + begin + rows, seconds=start().seconds + shard * seconds)


def painting(config: Config, name: str, scans: Scans) -> Load:
    """A shard of a bank: all draws of a case are held at once where networks see patches."""
    settings, shards = config.synthesizers[name], config.synthesis.shards
    networks, one = painting_networks(config, settings), draw(config, settings)
    begin = start("prediction" if networks else "painting", bool(networks) and config.compute.device == "cuda")
    begin += Load(2 * weights_mb(*networks))
    if settings.whole_image:
        return begin + one.repeated(config.synthesis.images_per_category * len(config.categories) / shards)
    canvases, draws = (scans.train + scans.pool) / shards, config.synthesis.lesions_per_case
    waiting = draws * patch_voxels(config) * memory_of("voxel of a waiting lesion") if networks else 0.0
    rows = canvases * draws * memory_of("row of a lesion") / 1e3
    work = one.repeated(attempts_of(settings) * canvases * draws) + Load(waiting + rows)
    return begin + work + fold_load(scans, "train", "train", "pool", "validation", used=canvases)


def predicting(config: Config, scans: Scans) -> Load:
    """The test and validation cases of a fold."""
    size, cases = segmenter_size(config.recognition.network, config), scans.test + scans.validation
    begin = start("prediction", config.compute.device == "cuda") + Load(2 * weights_mb(size)) + fold_load(scans)
    if config.task == "classification":
        return begin + Load(images_mb(cases, config), seconds=cases * costs()["jobs", "image"])
    one = prediction(config, size, scans.stored, config.recognition.overlap, scans.mean_stored)
    back = costs()["jobs", "voxel brought back"] * scans.mean_native
    return begin + (one + Load(memory_of("voxel brought back") * scans.native, seconds=back)).repeated(cases)


def scoring(config: Config, scans: Scans) -> Load:
    """The predictions of a training."""
    cases = scans.test + scans.validation
    each = Load(memory_of("scored voxel") * scans.native, seconds=costs()["jobs", "scored voxel"] * scans.mean_native)
    return start() + each.repeated(cases) + Load(cases * rows_per_case(config) * memory_of("row of a score") / 1e3)


def exporting(config: Config, scans: Scans) -> Load:
    """An export of whole volumes."""
    cases, variants = config.synthesis.export_cases, config.synthesis.export_variants
    canvases = scans.train + scans.pool
    made = min(canvases if cases is None else cases, canvases)
    made *= config.synthesis.lesions_per_case if variants is None else variants
    made += scans.train + scans.validation if config.synthesis.export_real else 0
    each = Load(memory_of("exported voxel") * scans.stored, seconds=costs()["jobs", "exported voxel"] * scans.mean_stored)
    lesions = Load(canvases * config.synthesis.lesions_per_case * memory_of("row of a lesion") / 1e3)
    return start() + each.repeated(made) + lesions + fold_load(scans, "train", "pool", used=0)


def rows_per_case(config: Config) -> int:
    """Rows of scores that a case gives: 16 metrics of an organ, 23 of its tumor, and 24 of all tumors together."""
    if config.task == "classification":
        return 3 + 2 * len(config.categories)
    return 39 * len(config.organs) + 24


def score_rows(config: Config, tested: int) -> float:
    """Rows of the scores of a study.

    Args:
        config: the study.
        tested: test and validation cases of all folds that are run.
    """
    return tested * len(config.compared) * len(config.recognition.seeds) * rows_per_case(config)


def tables(cases: int, rows: float = 0.0, lesions: float = 0.0) -> Load:
    """A job that reads tables of the whole study.

    Args:
        cases: rows of tables of cases.
        rows: rows of scores.
        lesions: rows of manifests.
    """
    each = memory_of("row of a case") * cases + memory_of("row of a score") * rows + memory_of("row of a lesion") * lesions
    known = costs()
    seconds = known["jobs", "row of a score"] * rows + known["jobs", "row of a lesion"] * lesions
    return start("painting" if lesions else "tables") + Load(each / 1e3, seconds=seconds)


def measuring(config: Config, scans: Scans) -> Load:
    """A job that looks at real and painted lesions of a fold, of which so many are measured at most."""
    banks, organs = len(config.banks), max(len(config.organs), 1)
    painted = (scans.train + scans.pool) * config.synthesis.lesions_per_case
    most = min(MEASURED * organs, painted) * banks + min(MEASURED * organs, LESIONS * scans.count)
    rows = Load(painted * banks * memory_of("row of a lesion") / 1e3, seconds=most * costs()["jobs", "measured lesion"])
    return start("prediction") + rows + fold_load(scans, *PARTS, used=most)


def dividing(cases: int) -> Load:
    """The search for copies among all cases, and their division into folds."""
    seconds = costs()["jobs", "division of a thousand cases"] * (cases / 1000) ** GROWTH
    return start() + Load(memory_of("case divided") * cases / 1e3, seconds=seconds)
