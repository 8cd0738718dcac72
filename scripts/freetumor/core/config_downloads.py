"""How public data is fetched. See ``config``, which wires it. No key holds a credential: see ``Downloads``."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from .config_parts import Count, NotNegative, Positive, Section


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected an address that begins with https://")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("an address holds no credentials and no query; tokens belong into the environment or netrc")
    return text.rstrip("/")


Address = Annotated[str, AfterValidator(_base_url)]


class Endpoints(Section):
    """Where the interfaces of archives are: a mirror or a local server can take their place."""

    record: Address = Field("https://zenodo.org", description="Archive of records with the REST interface of Zenodo.")
    s3: Address = Field(
        "https://{bucket}.s3.amazonaws.com",
        description="Object storage; `{bucket}` stands for the name of the bucket, in the host or in the path.",
    )
    nbia: Address = Field(
        "https://services.cancerimagingarchive.net/nbia-api/services/v1", description="NBIA REST interface of TCIA."
    )
    hub: Address = Field("https://huggingface.co", description="Hub of repositories of files.")


class DownloadSettings(Section):
    """Fetching of files. Credentials are read from the environment (`HF_TOKEN`, `ZENODO_TOKEN`, `NBIA_TOKEN`) and from netrc only."""

    offline: bool = Field(False, description="Open no connection; what is missing is named and the job fails.")
    workers: Count = Field(8, description="Files fetched at once by a job.")
    per_host: Count = Field(4, description="Files fetched at once from one host, by all jobs of one user on one machine.")
    retries: int = Field(
        5,
        ge=0,
        description="Further tries per file and mirror after a failure that may pass; a try that got further than all before is not counted. 0: none at all.",
    )
    backoff: NotNegative = Field(
        1.0,
        description="Seconds before the first further try; doubled each time, at most 5 minutes, and varied by up to a half.",
    )
    timeout: Positive = Field(60.0, description="Seconds without a byte after which a connection is given up.")
    endpoints: Endpoints = Endpoints()
