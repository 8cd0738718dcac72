"""What only the people behind a study know: it goes into the cards and the reporting checklist. See ``config``, which re-exports it."""

from pydantic import Field

from .config_parts import Name, Section


class DataFacts(Section):
    """What the data sheet says of a source. What is left empty is said to be unknown."""

    license: str = Field("", description="License or terms of use.")
    citation: str = Field("", description="Whom to cite.")
    participants: str = Field("", description="Who was scanned, where and when, and how they were chosen.")
    acquisition: str = Field("", description="Scanners and protocols.")
    annotation: str = Field(
        "", description="Who outlined the lesions, with what training and tool, and how well readers agree."
    )
    deidentification: str = Field("", description="How names and faces were removed.")


class Reporting(Section):
    """Statements for the reporting checklist, the model cards and the data sheet."""

    intended_use: str = Field(
        "Research on methods. Not a medical device, not for diagnosis.", description="What trained networks may be used for."
    )
    license: str = Field("", description="License of the trained weights; empty: that of the data, see the data sheet.")
    sample_size: str = Field("", description="How the number of test cases was decided.")
    registration: str = Field("", description="Registration of the study, or why there is none.")
    ethics: str = Field("", description="Approval and consent.")
    funding: str = Field("", description="Who paid, and what part they had.")
    data: dict[Name, DataFacts] = Field(default_factory=dict, description="Facts of the sources, by name of the source.")
