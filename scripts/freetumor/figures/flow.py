"""The participant flow: how many cases entered, why some left, and where the others went."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# Stages behind the table of cases: what they put into quarantine is a result of a case, not the case.
LATER_STAGES = ("synthesizer", "synthesis", "recognition", "evaluation", "figures")
DEVELOPMENT, POOL, EXTERNAL = "development", "pool", "external"


@dataclass(frozen=True)
class Flow:
    """Counts of cases; ``raw`` is the sum of all others."""

    raw: int
    quarantined: int
    excluded: dict[str, int]  # by reason
    development: int
    pool: int
    external: int

    def __post_init__(self) -> None:
        parts = self.quarantined + sum(self.excluded.values()) + self.development + self.pool + self.external
        if parts != self.raw:
            raise ValueError(f"participant flow: {self.raw} cases entered, but {parts} are accounted for")

    @property
    def analyzed(self) -> int:
        """Cases that the study uses."""
        return self.development + self.pool + self.external

    def rows(self) -> list[tuple[str, int]]:
        """Step and count, in order."""
        return [
            ("entered", self.raw),
            ("quarantined", self.quarantined),
            *((f"excluded: {reason}", count) for reason, count in self.excluded.items()),
            ("used", self.analyzed),
            ("development", self.development),
            ("pool", self.pool),
            ("external", self.external),
        ]


def exclusion_reason(text: str, case_ids: Collection[str]) -> str:
    """The kind of an exclusion, without the case that it points to: ``duplicate of a12`` → ``duplicate``."""
    words = text.split()
    if words[-1] in case_ids:
        words = words[: -2 if words[-2:-1] == ["of"] else -1]
    return " ".join(words)


def roles(cases: "pd.DataFrame") -> "pd.Series":
    """What each case of the table of cases is for: a reason of exclusion, ``development``, ``pool`` or ``external``."""
    role = cases["split"].where(cases["split"].isin([EXTERNAL, POOL]), DEVELOPMENT)
    role = role.mask((role == DEVELOPMENT) & ~cases["labeled"], POOL)
    excluded, ids = cases["excluded_because"].str.strip(), set(cases["case_id"])
    return role.mask(excluded != "", excluded.map(lambda text: exclusion_reason(text, ids) if text else ""))


def quarantined_cases(cases: "pd.DataFrame", quarantine: "pd.DataFrame") -> set[str]:
    """Cases that were refused before the table of cases was made, so that it does not hold them."""
    refused = quarantine.loc[~quarantine["stage"].str.startswith(LATER_STAGES), "case_id"]
    return set(refused).difference(cases["case_id"])


def participant_flow(cases: "pd.DataFrame", quarantine: "pd.DataFrame") -> Flow:
    """Count the cases of a study.

    Args:
        cases: table of ``core.tables.CASES``.
        quarantine: table of ``core.tables.QUARANTINE``.
    """
    role = roles(cases)
    counts = role.value_counts()
    used = (DEVELOPMENT, POOL, EXTERNAL)
    refused = len(quarantined_cases(cases, quarantine))
    return Flow(
        raw=len(cases) + refused,
        quarantined=refused,
        excluded={reason: int(counts[reason]) for reason in sorted(set(counts.index).difference(used))},
        development=int(counts.get(DEVELOPMENT, 0)),
        pool=int(counts.get(POOL, 0)),
        external=int(counts.get(EXTERNAL, 0)),
    )


def quarantine_reasons(quarantine: "pd.DataFrame") -> "pd.DataFrame":
    """Rows of the quarantine table counted by stage and code, most frequent first: ``stage code cases``."""
    counts = quarantine.groupby(["stage", "code"])["case_id"].nunique().reset_index(name="cases")
    return counts.sort_values(["cases", "stage", "code"], ascending=[False, True, True], ignore_index=True)


def annotation(cases: "pd.DataFrame") -> "pd.Series":
    """``with tumor``, ``tumor-free`` or ``unlabeled``, per case."""
    kind = cases["tumors"].ne("").map({True: "with tumor", False: "tumor-free"})
    return kind.where(cases["labeled"], "unlabeled")
