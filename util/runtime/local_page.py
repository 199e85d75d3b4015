"""A page for the browsers of this machine: what a program has to show, served from memory while it works."""

import errno
import json
import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from util.runtime.errors import InputError

HOST = "127.0.0.1"
_NAMES = (HOST, "localhost")  # a page of another name that leads here would be a stranger's
_POLICY = (
    "default-src 'none'; img-src 'self' data:; connect-src 'self'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'"
)


class LocalPage:
    """What is served: files by their names, each whole.

    Attributes
    ----------
    url : str
        Of the file ``index.html``.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._files: dict[str, tuple[str, bytes]] = {}
        self._asked = -math.inf

    def show(self, kind: str, files: Mapping[str, bytes]) -> None:
        """Serve these files from now on, of a media type such as ``image/png``; the others as before."""
        self._files = self._files | {name: (kind, content) for name, content in files.items()}

    def show_state(self, name: str, state: Mapping[str, Any]) -> None:
        """Serve a state as JSON from now on."""
        self.show("application/json", {name: json.dumps(state).encode()})

    def file(self, name: str) -> tuple[str, bytes] | None:
        """Return media type and content of a file that somebody asks for; None where there is none."""
        self._asked = time.monotonic()
        return self._files.get(name)

    @property
    def asked_s(self) -> float:
        """How long ago somebody asked for a file [s]."""
        return time.monotonic() - self._asked


@contextmanager
def serving(port: int) -> Iterator[LocalPage]:
    """Serve a page until the end of the context, to this machine alone.

    Parameters
    ----------
    port : int
        0: one that is free.

    Raises
    ------
    InputError
        The port is in use, or not for everyone to take.
    """
    try:
        server = _Server((HOST, port), _Handler)
    except OSError as error:
        found = "one in use" if error.errno == errno.EADDRINUSE else f"none that can be taken ({error.strerror})"
        raise InputError(
            f"--port {port}: expected a free port, found {found}; name another, or 0 for any that is free"
        ) from None
    server.page = LocalPage(f"http://{HOST}:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield server.page
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    page: LocalPage


class _Handler(BaseHTTPRequestHandler):
    timeout = 30  # seconds, for a browser that asks for nothing

    def do_GET(self) -> None:
        """Answer with a file."""
        assert isinstance(self.server, _Server)
        host = self.headers.get("Host", HOST).partition(":")[0]
        name = self.path.partition("?")[0].removeprefix("/") or "index.html"
        found = self.server.page.file(name) if host in _NAMES else None
        if found is None:
            self.send_error(404)
            return
        kind, content = found
        self.send_response(200)
        for header, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(content))),
            ("Cache-Control", "no-store"),
            ("Content-Security-Policy", _POLICY),
            ("X-Content-Type-Options", "nosniff"),
        ):
            self.send_header(header, value)
        self.end_headers()
        with suppress(ConnectionError):  # a browser that was closed
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
