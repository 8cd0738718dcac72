"""A local HTTP server that serves files well or badly: each request to a path follows the next item of its plan."""

import contextlib
import hashlib
import socket
import threading
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class Fault:
    """How one request is answered.

    Attributes:
        status: other than 200: an answer without the file.
        cut: close the connection after this many bytes of the body.
        stall: after ``cut`` bytes, send nothing for this many seconds before closing.
        ignore_range: answer 200 with everything, whatever was asked for.
        ignore_if_range: continue although the file has changed.
        shift: continue this many bytes before the right place.
        chunked: no Content-Length.
        endless: no length of any kind; the end of the connection is that of the body.
        lie: what to add to Content-Length.
        body: send these bytes in place of the file.
        headers: further ones.
    """

    status: int = 200
    cut: int | None = None
    stall: float = 0.0
    ignore_range: bool = False
    ignore_if_range: bool = False
    shift: int = 0
    chunked: bool = False
    endless: bool = False
    lie: int = 0
    body: bytes | None = None
    headers: dict = field(default_factory=dict)


GOOD = Fault()


class Server:
    """Serve ``files`` by path on this machine, under the host name ``name``.

    Attributes:
        files: content by path.
        plans: faults of the next requests by path; then all is well.
        etags: entity tag by path, if it is not the hash of the content; None for none at all.
        seen: headers of each request, by path with its query.
        sent: bytes of bodies that were sent, by path.
        most_at_once: stalled answers that a client was waiting for at the same time.
    """

    def __init__(self, name="127.0.0.1"):
        self.files, self.etags = {}, {}
        self.plans = defaultdict(deque)
        self.seen, self.sent = defaultdict(list), Counter()
        self.most_at_once = self._now = 0
        self.lock = threading.Lock()
        server = self

        class Handler(_Handler):
            room = server

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://{name}:{self.http.server_port}"

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()

    def add(self, path, data, *faults):
        """Serve ``data`` at ``path``; the first requests are answered by ``faults``. Returns the address."""
        self.files[path] = data
        self.plans[path].extend(faults)
        return self.url + path

    def answer(self, path, query):
        """Bytes, fault and entity tag for a request; a subclass answers interfaces."""
        fault = self.plans[path].popleft() if self.plans[path] else GOOD
        data = self.files.get(path) if fault.body is None else fault.body
        if fault.status != 200 or data is None:
            return b"", fault if fault.status != 200 else Fault(status=404), None
        return data, fault, self.etag_of(path, data)

    def etag_of(self, path, data):
        return self.etags.get(path, f'"{hashlib.sha256(data).hexdigest()[:16]}"')

    def stall(self, seconds):
        with self.lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        time.sleep(seconds)
        with self.lock:  # before the client hears of the end
            self._now -= 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgment

    def log_message(self, *_):
        """Stay silent."""

    def do_GET(self):
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        with self.room.lock:
            self.room.seen[self.path].append({key.lower(): value for key, value in self.headers.items()})
            data, fault, etag = self.room.answer(path, parts.query)
        if fault.status != 200:
            self.send_response(fault.status)
            self._headers({"Content-Length": str(len(data)), **fault.headers})
            self.wfile.write(data)
        else:
            self._send(path, data, fault, etag)

    def _send(self, path, data, fault, etag):
        start = self._start(data, fault, etag)
        if start is not None and start >= len(data):
            self.send_response(416)
            self._headers({"Content-Range": f"bytes */{len(data)}", "Content-Length": "0"})
            return
        headers = {"Content-Type": "application/octet-stream"} | ({"ETag": etag} if etag else {}) | fault.headers
        body = data if start is None else data[max(start - fault.shift, 0) :]
        if start is not None:
            first = len(data) - len(body)
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        if not fault.endless:
            headers |= {"Transfer-Encoding": "chunked"} if fault.chunked else {"Content-Length": str(len(body) + fault.lie)}
        self.send_response(200 if start is None else 206)
        self._headers(headers)
        self._body(path, body, fault)

    def _start(self, data, fault, etag):
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        if asked is None or fault.ignore_range:
            return None
        if condition is not None and condition != etag and not fault.ignore_if_range:
            return None
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _body(self, path, body, fault):
        piece = body if fault.cut is None else body[: fault.cut]
        with self.room.lock:
            self.room.sent[path] += len(piece)
        with contextlib.suppress(OSError):
            if fault.chunked and piece:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            elif not fault.chunked:
                self.wfile.write(piece)
            if fault.chunked and fault.cut is None:
                self.wfile.write(b"0\r\n\r\n")
            if fault.cut is not None or fault.lie or fault.endless:
                if fault.stall:
                    self.room.stall(fault.stall)
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_WR)

    def _headers(self, headers):
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
