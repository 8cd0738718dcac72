"""What belongs to a host: the credentials that only it may see, and the number of files fetched from it at once."""

import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from requests import PreparedRequest, Response, Session
from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_netrc_auth

from freetumor.core.config_downloads import DownloadSettings
from freetumor.core.locks import locked

TOKENS = {"hub": "HF_TOKEN", "record": "ZENODO_TOKEN", "nbia": "NBIA_TOKEN"}  # endpoint → environment variable
LOCAL = {"localhost", "127.0.0.1", "::1"}
PAUSE = 0.05  # seconds between two looks for a free slot


class HostCredentials(AuthBase):
    """Give each host its own credentials: a token from the environment if it is an endpoint's, else those of netrc.

    Nothing is sent over plain HTTP, except to this machine.
    """

    def __init__(self, settings: DownloadSettings) -> None:
        self.origins = {_origin(getattr(settings.endpoints, name)): variable for name, variable in TOKENS.items()}

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign one request, for the host that it goes to."""
        url = str(request.url)
        if urlsplit(url).scheme != "https" and urlsplit(url).hostname not in LOCAL:
            return request
        token = os.environ.get(self.origins.get(_origin(url), ""), "").strip()
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        elif (login := get_netrc_auth(url)) is not None:
            HTTPBasicAuth(*login)(request)
        return request


class HostSession(Session):
    """A session whose redirected requests carry the credentials of the host they go to, and never those of another."""

    def __init__(self, settings: DownloadSettings) -> None:
        super().__init__()
        self.auth = HostCredentials(settings)
        self.max_redirects = 10

    def rebuild_auth(self, prepared_request: PreparedRequest, response: Response) -> None:
        """Called by requests for every hop of a redirect."""
        prepared_request.headers.pop("Authorization", None)
        self.auth(prepared_request)


def variable_of(url: str, settings: DownloadSettings) -> str | None:
    """Name of the environment variable whose token opens ``url``, if there is one."""
    return HostCredentials(settings).origins.get(_origin(url))


@contextlib.contextmanager
def slot(url: str, settings: DownloadSettings, stop: threading.Event) -> Iterator[None]:
    """Hold one of the ``per_host`` places of the host of ``url``; wait for one if none is free.

    A place is a lock on a file of the user's temporary folder, so that threads and processes of one machine count alike, and
    the operating system gives back the places of a killed job.
    """
    folder = Path(tempfile.gettempdir()) / f"freetumor-downloads-{os.getuid()}"  # a container's user may have no name
    folder.mkdir(mode=0o700, exist_ok=True)
    host = re.sub(r"[^\w.-]", "_", urlsplit(url).netloc)
    while True:
        for number in range(settings.per_host):
            descriptor = os.open(folder / f"{host}.{number}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                if locked(descriptor):
                    yield
                    return
            finally:
                os.close(descriptor)
        if stop.wait(PAUSE):
            raise Interrupted


class Interrupted(Exception):
    """The whole transfer is being given up; this file is left as it is, to be resumed."""


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
