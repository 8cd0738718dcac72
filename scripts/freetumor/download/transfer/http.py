"""HTTP as archives need it: streamed bodies as they are on the server, failures sorted, tries repeated with growing pauses.

No text of a foreign error is passed on, because it may hold an address with a token.
"""

import contextlib
import itertools
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import requests
import urllib3
from requests import Response

from freetumor.core.config_downloads import DownloadSettings
from freetumor.core.errors import UserError
from freetumor.core.seeding import derive_seed

from .hosts import HostSession, Interrupted, slot, variable_of
from .remote import redact

CHUNK = 1 << 18
LONGEST_PAUSE = 300.0  # seconds
LARGEST_ANSWER = 1 << 26  # bytes of a listing
PASSING = {408, 425, 429, 500, 502, 503, 504}
AGENT = "freetumor-workflow (+python-requests)"
T = TypeVar("T")


class Failure(Exception):
    """A file could not be fetched from one address; the message is printable."""


class Passing(Failure):
    """A failure that may pass.

    Attributes:
        pause: seconds that the server asked to wait, if it did.
        further: whether the try got further than any before.
    """

    def __init__(self, message: str, pause: float | None = None, further: bool = False) -> None:
        super().__init__(message)
        self.pause, self.further = pause, further


class Client:
    """Connections of one job, with one session per thread.

    Args:
        settings: timeouts, tries, endpoints; if ``offline`` is set, no connection is opened.
        stop: set to give up all that is under way.
    """

    def __init__(self, settings: DownloadSettings, stop: threading.Event | None = None) -> None:
        self.settings, self.stop = settings, stop or threading.Event()
        self._local = threading.local()
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # its lines hold whole addresses

    @contextlib.contextmanager
    def open(self, url: str, headers: Mapping[str, str] | None = None) -> Iterator[Response]:
        """Ask for ``url`` and yield the answer, its body unread; of status 200, or, if a range is asked for, 206 or 416.

        Raises:
            Passing: if another try may succeed.
            Failure: if none will.
            UserError: if ``downloads.offline`` is set.
        """
        if self.settings.offline:
            raise UserError(f"downloads.offline is true, but {redact(url)} is needed")
        if not hasattr(self._local, "session"):
            self._local.session = HostSession(self.settings)
        asked = {"Accept-Encoding": "identity", "User-Agent": AGENT, **(headers or {})}
        timeout = (min(self.settings.timeout, 30.0), self.settings.timeout)
        with (
            slot(url, self.settings, self.stop),
            _sorted_failures(self.settings.timeout),
            self._local.session.get(url, headers=asked, stream=True, timeout=timeout) as response,
        ):
            self._check(response, url, {200, 206, 416} if "Range" in asked else {200})
            yield response

    def _check(self, response: Response, url: str, expected: set[int]) -> None:
        hops = [str(answer.url) for answer in (*response.history, response)]
        if any(one.startswith("https:") and other.startswith("http:") for one, other in itertools.pairwise(hops)):
            raise Failure("redirects to an address without encryption")
        status = response.status_code
        if status in PASSING:
            raise Passing(f"answered {status}", pause=_pause(response))
        if status in (401, 403, 407):
            variable = variable_of(url, self.settings)
            ways = f"set {variable} or add the host to netrc" if variable else "add the host to netrc if you have a login"
            raise Failure(f"answered {status}, access denied; {ways}")
        if status not in expected:
            raise Failure(f"answered {status}")

    def persist(self, action: Callable[[], T], *key: str) -> T:
        """Call ``action`` until it succeeds; pause before each further try.

        Args:
            action: raises :class:`Passing` to be called again.
            key: names of what is fetched: pauses vary with it, so that many files do not come back at one instant.

        Raises:
            Failure: the last one.
        """
        tries = 0
        while True:
            try:
                return action()
            except Passing as failure:
                tries = 0 if failure.further else tries + 1
                if tries > self.settings.retries or self.settings.retries == 0:
                    raise Failure(f"{failure} ({tries} tries)" if tries > 1 else str(failure)) from None
                pause = self._backoff(tries, *key) if failure.pause is None else failure.pause
                if pause > LONGEST_PAUSE:
                    raise Failure(f"{failure} and asks to wait {pause:.0f} s") from None
            if self.stop.wait(pause):
                raise Interrupted

    def _backoff(self, tries: int, *key: str) -> float:
        jitter = derive_seed("downloads", *key, tries) / 2**63  # 0 to 1
        return min(self.settings.backoff * 2.0 ** max(tries - 1, 0), LONGEST_PAUSE / 1.5) * (0.5 + jitter)

    def read(self, url: str) -> tuple[bytes, Mapping[str, Any]]:
        """The whole of a short answer, and its links by relation (``{"next": {"url": ...}}``).

        Raises:
            UserError: naming the address, if it cannot be had.
        """

        def once() -> tuple[bytes, Mapping[str, Any]]:
            with self.open(url) as response:
                body = bytearray()
                for chunk in chunks(response):
                    body += chunk
                    if len(body) > LARGEST_ANSWER:
                        raise Failure(f"answered with more than {LARGEST_ANSWER >> 20} MB, where a list was expected")
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise Failure("answered in an encoding that was not asked for")
                return bytes(body), response.links

        try:
            return self.persist(once, url)
        except Failure as failure:
            raise UserError(f"{redact(url)}: {failure}; see docs/how-to/download.md") from None

    def json(self, url: str) -> Any:
        """A JSON answer. Raises a :class:`UserError` that names the address if it cannot be had or is none."""
        return parse_json(self.read(url)[0], url)


def parse_json(body: bytes, url: str) -> Any:
    """Read JSON that came from ``url``; a :class:`UserError` names the address if it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise UserError(f"{redact(url)}: expected an answer in JSON") from None


def chunks(response: Response) -> Iterator[bytes]:
    """The body as it comes, undecoded: what arrived before a failure has been handed on."""
    while data := response.raw.read1(CHUNK, decode_content=False):
        yield data


@contextlib.contextmanager
def _sorted_failures(timeout: float) -> Iterator[None]:
    """Turn errors of the libraries into ours, without their text."""
    try:
        yield
    except (requests.exceptions.SSLError, urllib3.exceptions.SSLError):
        raise Passing("no encrypted connection could be made; is its certificate valid?") from None
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema):
        raise Failure("redirects to something that is no address") from None
    except requests.exceptions.TooManyRedirects:
        raise Failure("redirects in a circle") from None
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError):
        raise Passing(f"sent nothing for {timeout:g} s") from None
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, ConnectionError):
        raise Passing("the connection broke or could not be made") from None


def _pause(response: Response) -> float | None:
    """Seconds that a server asks to wait, given as a number or as a date."""
    value = response.headers.get("Retry-After")
    if value is None:
        return None
    try:
        return urllib3.util.Retry(retry_after_max=10**9).parse_retry_after(value)
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return None
