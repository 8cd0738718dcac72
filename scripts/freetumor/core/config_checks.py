"""Whether the parts of a study agree with each other; each part has checked itself before."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import Config


def check(config: "Config") -> None:
    """Check that names exist, that patches suit networks, and that the task is served.

    Raises:
        ValueError: naming the key and what was expected.
    """
    _names_exist(config)
    _patch_suits_networks(config)
    _task_is_served(config)
    _shares_fit_batches(config)


def _names_exist(config: "Config") -> None:
    _require(config.preset, config.presets, "preset", "presets")
    for arm in config.recognition.arms:
        _require(arm, config.arms, "recognition.arms", "arms")
        if config.arms[arm].synthesizer is not None:
            _require(config.arms[arm].synthesizer, config.synthesizers, f"arms.{arm}.synthesizer", "synthesizers")
    for name in config.synthesis.synthesizers:
        _require(name, config.synthesizers, "synthesis.synthesizers", "synthesizers")
    for name, entry in config.synthesizers.items():
        if entry.trained_as is not None:
            _require(entry.trained_as, config.synthesizers, f"synthesizers.{name}.trained_as", "synthesizers")
            teacher = config.synthesizers[entry.trained_as]
            if not entry.trained or teacher.trained_as is not None or teacher.painter != entry.painter:
                raise ValueError(
                    f"synthesizers.{name}.trained_as: '{entry.trained_as}' must train networks itself, with the same painter"
                )
    names = [source.name for source in config.sources]
    if len(set(names)) < len(names):
        raise ValueError("sources: two sources have the same name")
    _batches_divide(config)
    outside = [fold for fold in config.cohort.run_folds or [] if not 0 <= fold < config.cohort.folds]
    if outside:
        raise ValueError(f"cohort.run_folds: {outside[0]} is not a fold; folds are 0 to {config.cohort.folds - 1}")
    if len(set(config.organs)) < len(config.organs):
        raise ValueError("organs: an organ is listed twice")
    for name in config.reporting.data:
        _require(name, dict.fromkeys(names), "reporting.data", "sources")


def _patch_suits_networks(config: "Config") -> None:
    networks = {"segmenter.network": config.segmenter.network} if config.needs_segmenter else {}
    networks["recognition.network"] = config.recognition.network
    for name in config.used_synthesizers:
        if config.synthesizers[name].taught:
            networks[f"synthesizers.{name}.painter.network"] = config.synthesizers[name].painter.network
    for where, network in networks.items():
        cells = [length / network.stride for length in config.working.patch]
        if any(cell != int(cell) for cell in cells) or all(cell == 1 for cell in cells):
            raise ValueError(
                f"presets.{config.preset}.patch: {where} '{network.name}' needs multiples of {network.stride} voxels, and more "
                f"than one, got {list(config.working.patch)}"
            )


def _task_is_served(config: "Config") -> None:
    classify = config.task == "classification"
    if classify and len(config.categories) < 2:
        raise ValueError("categories: a classification needs at least two")
    if classify != (config.working.form == "region"):
        raise ValueError(
            f"presets.{config.preset}.form: task '{config.task}' does not work on the form '{config.working.form}'"
        )
    if not classify and (config.recognition.training.epochs or config.segmenter.training.epochs):
        raise ValueError("training.epochs: patches are drawn at random, a segmentation has no epochs; give steps")
    if config.recognition.network.task != config.task:
        raise ValueError(f"recognition.network: '{config.recognition.network.name}' does not serve the task '{config.task}'")
    for name in config.used_synthesizers:
        if config.synthesizers[name].whole_image != classify:
            kind = config.synthesizers[name].painter.kind
            raise ValueError(f"synthesizers.{name}.painter: '{kind}' does not serve the task '{config.task}'")
    for name in config.recognition.arms:
        arm, held = config.arms[name], config.synthesis.images_per_category
        if arm.synthetic and arm.synthesizer is None:
            raise ValueError(f"arms.{name}.synthetic: needs a synthesizer")
        if arm.lesions == "bank" and arm.synthetic > held:
            raise ValueError(f"arms.{name}.synthetic: the bank holds synthesis.images_per_category = {held} images")
    for name, selection in config.evaluation.selections.items():
        where = f"evaluation.selections.{name}"
        if name in config.arms:
            raise ValueError(f"{where}: an arm has the same name")
        for arm in selection.candidates:
            if arm not in config.recognition.arms:
                raise ValueError(f"{where}.candidates: '{arm}' is not among recognition.arms")


def _batches_divide(config: "Config") -> None:
    """Every batch can be dealt out in equal parts."""
    fixed = [("segmenter.training", config.segmenter.training), ("recognition.training", config.recognition.training)]
    serves = {"segmenter.training": True, "recognition.training": config.task == "segmentation"}
    for name, entry in config.synthesizers.items():
        key = f"synthesizers.{name}.painter"
        painters = [(f"{key}.training", entry.painter.training)]
        painters += [
            (f"{key}.diffusion.{part}.training", getattr(entry.painter.diffusion, part).training)
            for part in ("autoencoder", "denoiser")
        ]
        serves[f"{key}.training"] = entry.painter.kind == "difference"
        fixed += [item for item in painters if config.compute.processes_per_job > 1 or item[1].accumulate > 1]
    for key, training in fixed:
        if training.accumulate > 1 and not serves.get(key, False):
            raise ValueError(f"{key}.accumulate: only segmentations and the painter 'difference' can compute a batch in parts")
        parts = config.compute.processes_per_job * training.accumulate
        if training.batch % parts:
            raise ValueError(
                f"{key}.batch: must be a multiple of compute.gpus_per_job x nodes_per_job x {key}.accumulate = {parts}, "
                f"got {training.batch}"
            )


def _require(name: str, known: dict[str, Any], where: str, table: str) -> None:
    if name not in known:
        import difflib

        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(known)}"
        raise ValueError(f"{where}: '{name}' is not a key of {table}{hint}")


def _shares_fit_batches(config: "Config") -> None:
    """A batch holds whole patches: a share that rounds to none or to all of them would do so in silence."""
    batch = config.recognition.training.batch
    for name in config.recognition.arms if config.task == "segmentation" else ():
        arm = config.arms[name]
        painted = round(arm.synthetic_share * batch)
        if arm.synthesizer is not None and 0 < arm.synthetic_share < 1 and painted in (0, batch):
            raise ValueError(
                f"arms.{name}.synthetic_share: {arm.synthetic_share:g} of a batch of {batch} is {painted} painted patches; "
                "expected a share that leaves some of both, or a larger recognition.training.batch"
            )
