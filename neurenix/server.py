"""A small web server for a folder, for this machine unless told otherwise, with the policy that a bundle runs under.

With `changes` it also brings live reload: every page that it sends gets a small module of ours, which hears of each
change and loads the page again. The files themselves stay as they are.
"""

from __future__ import annotations

import functools
import io
import ipaddress
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from neurenix.resources import resource

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; "
    "style-src 'self'; img-src 'self' data:; manifest-src 'self'; base-uri 'none'"
)
SITE_HEADERS: Mapping[str, str] = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
# With these a page may share memory between threads, and load nothing from other sites that does not allow it.
ISOLATION_HEADERS: Mapping[str, str] = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}

# Paths of ours, in a folder that no site has.
RELOAD_MODULE = "/.neurenix/reload.js"
RELOAD_EVENTS = "/.neurenix/changes"
_RELOAD_TAG = f'<script type="module" src="{RELOAD_MODULE}"></script>'.encode()
_HEARTBEAT = 15.0  # seconds after which a connection without changes is tried

# Not the system's table: on Windows any program may have changed it.
_TYPES = {
    "": "application/octet-stream",
    ".bin": "application/octet-stream",
    ".c": "text/plain; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ts": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".wgsl": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class RunningServer:
    """Where a served folder can be reached."""

    url: str
    port: int


class Changes:
    """Tells open pages that what they show has changed. Threads wait for it; anyone may `notify`."""

    def __init__(self) -> None:
        # Another run of the server is a change too: a page that was open meanwhile loads again.
        self._run = secrets.token_hex(4)
        self._count = 0
        self._open = True
        self._news = threading.Condition()

    @property
    def state(self) -> str:
        """What is shown now; another text after each change."""
        return f"{self._run}-{self._count}"

    @property
    def is_open(self) -> bool:
        """Whether there may be further changes."""
        return self._open

    def notify(self) -> None:
        """Have every open page load again."""
        with self._news:
            self._count += 1
            self._news.notify_all()

    def close(self) -> None:
        """Let go of everyone who waits."""
        with self._news:
            self._open = False
            self._news.notify_all()

    def wait(self, seen: str, seconds: float) -> str:
        """Return the state once it is not what was seen any more, or after so many seconds."""
        with self._news:
            self._news.wait_for(lambda: self.state != seen or not self._open, seconds)
            return self.state


@contextmanager
def serve(
    directory: Path,
    port: int = 0,
    headers: Mapping[str, str] = SITE_HEADERS,
    log: Callable[[str], None] = lambda line: None,
    host: str = "127.0.0.1",
    changes: Changes | None = None,
) -> Iterator[RunningServer]:
    """Serve `directory` for the length of the block. Port 0 takes a free one.

    `headers` go out with every answer. `log` gets one line for each request. With a `host` other than this
    machine's own the folder can be read by everyone who reaches that address. `changes` brings live reload.
    """
    folder = directory.resolve(strict=True)
    handler = functools.partial(_Handler, directory=str(folder), headers=headers, log=log, host=host, changes=changes)
    server = _Server((host, port), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        # The address that means every one of this machine's is none that a browser can open.
        shown = "127.0.0.1" if host == "0.0.0.0" else host
        yield RunningServer(f"http://{shown}:{server.server_port}/", server.server_port)
    finally:
        if changes is not None:
            changes.close()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    # A browser keeps idle connections open: the end must not wait for them.
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: what fails here is a browser that closed its connection early."""


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "neurenix"
    sys_version = ""
    timeout = 30
    disable_nagle_algorithm = True  # its wait for more to send costs each small file some 40 ms
    index_pages = ("index.html",)

    def __init__(
        self,
        *arguments: Any,
        headers: Mapping[str, str],
        log: Callable[[str], None],
        host: str,
        changes: Changes | None,
        **keywords: Any,
    ) -> None:
        self._extra = headers
        self._log = log
        self._host = host
        self._changes = changes
        super().__init__(*arguments, **keywords)

    def do_GET(self) -> None:
        if self._changes is not None and self.path == RELOAD_EVENTS and self._is_host_known():
            self._send_changes(self._changes)
        else:
            super().do_GET()

    def send_head(self) -> Any:
        if not self._is_host_known():
            self.send_error(HTTPStatus.FORBIDDEN, "served to this machine only")
            return None
        if self._changes is not None and self.path == RELOAD_MODULE:
            return self._send_bytes(resource("templates", "serve", "reload.js").read_bytes(), _TYPES[".js"])
        path = Path(self.translate_path(self.path))
        if not path.resolve().is_relative_to(self.directory):
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        if self._changes is not None and (page := self._page(path)) is not None:
            return self._send_bytes(_with_reload(page.read_bytes()), _TYPES[".html"])
        return super().send_head()

    def _is_host_known(self) -> bool:
        """Say whether a request is for us: another site's page may point its own host name here (DNS rebinding)."""
        name = (self.headers.get("Host") or "").rpartition(":")[0]
        if name in ("127.0.0.1", "localhost", self._host):
            return True
        if self._host in ("127.0.0.1", "localhost"):
            return False
        with suppress(ValueError):
            return bool(ipaddress.ip_address(name.strip("[]")))  # an address cannot be pointed elsewhere
        return False

    def _page(self, path: Path) -> Path | None:
        """Return the HTML file that a request is for."""
        if path.is_dir() and self.path.partition("?")[0].endswith("/"):
            path = path / "index.html"
        is_page = path.suffix.lower() == ".html" and path.is_file()
        return path if is_page and path.resolve().is_relative_to(self.directory) else None

    def _send_bytes(self, content: bytes, kind: str) -> io.BytesIO:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return io.BytesIO(content)

    def _send_changes(self, changes: Changes) -> None:
        """Send the state, and again after each change, for as long as the page is open."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        seen = changes.state
        self.wfile.write(f"retry: 500\ndata: {seen}\n\n".encode())
        with suppress(OSError):  # the page has gone
            while changes.is_open:
                state = changes.wait(seen, _HEARTBEAT)
                self.wfile.write(b":\n\n" if state == seen else f"data: {state}\n\n".encode())
                seen = state
        self.close_connection = True

    def list_directory(self, path: Any) -> None:
        self.send_error(HTTPStatus.NOT_FOUND, "this folder has no index.html")

    def guess_type(self, path: Any) -> str:
        return _TYPES.get(Path(path).suffix.lower(), _TYPES[""])

    def send_header(self, keyword: str, value: str) -> None:
        # Without a date a browser cannot ask whether its copy is still good: it always gets the file.
        if keyword != "Last-Modified":
            super().send_header(keyword, value)

    def end_headers(self) -> None:
        for keyword, value in self._extra.items():
            self.send_header(keyword, value)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        self._log(format % arguments)


def _with_reload(page: bytes) -> bytes:
    """Return a page with our module at the end of its head, or behind everything where it has no end of a head."""
    at = page.lower().find(b"</head>")
    return page + _RELOAD_TAG if at < 0 else page[:at] + _RELOAD_TAG + page[at:]
