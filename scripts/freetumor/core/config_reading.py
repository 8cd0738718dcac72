"""Configuration of a reader study. See ``config``, which re-exports it."""

from typing import Annotated

from pydantic import Field

from .config_parts import Section, Share


class Reading(Section):
    """A Visual Turing Test: what readers answered, and what would count as telling nothing. Fix this before anybody reads."""

    answers: str = Field(
        description="CSV of answers: `reader`, `case` (file of the card), `rating` from 1 (surely real) to 6 (surely synthetic), and `seconds` if times were taken. What the deck's own form saves is read too."
    )
    key: str = Field(description="CSV of the key: a copy of the `deck.csv` that was exported with the images.")
    margin: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        0.1, description="Mean areas under the ROC curve within 0.5 plus or minus this are equivalent to guessing."
    )
    crude_caught: Share = Field(
        0.8, description="Share of the crude fakes that readers must catch, else equivalence is not claimed."
    )
