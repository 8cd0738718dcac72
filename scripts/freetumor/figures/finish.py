"""The end of a study: what killed jobs left behind goes, checksums of all results and the page of costs come."""

from pathlib import Path

from freetumor.core import checksums
from freetumor.core.config import Config
from freetumor.core.leftovers import remove_leftovers

from .costs import write_cost_page

REPORT = "report.html"


def finish_study(config: Config, results: Path) -> None:
    """Remove what killed jobs left behind, write ``checksums.json``, ``costs.csv`` and ``costs.html`` of a study.

    Results that have not changed since the last time are not read again.

    Args:
        config: the study.
        results: folder of the results of all studies.
    """
    study = results / config.study
    volumes = [results / "volumes" / config.preset / source.name for source in config.sources]
    data = [results / "data" / source.name for source in config.sources]
    remove_leftovers([study, *volumes, *data])
    checksums.record(study, config.seed)
    write_cost_page(config.title or config.study, study, volumes, data, REPORT)
