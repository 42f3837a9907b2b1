"""The server of the page that lives.

It listens on the loopback unless told otherwise; elsewhere it asks for a token. It answers a
browser only under an address of this machine, so that no other site can read it by a name of its
own. It reads, and changes nothing.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Sequence
from functools import partial
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from pathlib import Path
from socket import gethostname
from typing import Any
from urllib.parse import parse_qs, urlsplit

from plumbrule.errors import ConfigError, DataError
from plumbrule.local_pages import PageHandler, listen
from plumbrule.serving.finding import folder_named, work_in
from plumbrule.serving.watching import Shelf

PORT = 7463
LARGEST_PAGE = 64 * 2**20
"""Bytes of a report's page that are sent."""

LARGEST_FORM = 4096
COOKIE = "plumbrule"
FEWEST_SIGNS = 16
"""Signs of a token of the user's own."""

_TOKEN = re.compile(rf"[A-Za-z0-9_-]{{{FEWEST_SIGNS},200}}")

_PAGE = Path(__file__).parent / "page.html"
_DOOR = Path(__file__).parent / "door.html"
_REPORT = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; sandbox allow-popups"
)
"""A report's page, which may hold what models wrote: its style applies, no script of it runs."""


class LivePage:
    """A page that shows what lies under a directory; `run` until `stop`, `close` it at the end."""

    def __init__(
        self,
        root: Path,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        token: str | None = None,
        names: Sequence[str] = (),
    ) -> None:
        """Listen, without answering yet.

        Args:
            root: The directory.
            host: Address of this machine to listen at.
            port: None takes `PORT`, or any that is free.
            token: What a browser must show first; None: nothing on the loopback, and a new random
                one elsewhere.
            names: Names of this machine that a browser may call it by, beside its addresses.

        Raises:
            DataError: There is no such directory.
            ConfigError: The address or the port cannot be used, or the token is too short.
        """
        if not root.is_dir():
            what = "which is a file" if root.exists() else "where there is nothing"
            raise DataError(
                f"expected a folder of runs, got {root}, {what}; give the folder that holds them"
            )
        if token is not None and not _TOKEN.fullmatch(token):
            raise ConfigError(
                f"expected a token of at least {FEWEST_SIGNS} letters, digits, `-` and `_`; got "
                f"{len(token)} signs"
            )
        self.shelf, self.host = Shelf(root), host
        self.local = is_loopback(host)
        self.token = secrets.token_urlsafe(24) if token is None and not self.local else token
        self.ended = False
        self._names = {each.lower() for each in names}
        handler = partial(_LiveHandler, self)
        self._server = listen(host, (PORT, 0) if port is None else (port,), handler)

    @property
    def port(self) -> int:
        """Where the server listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Address of the page, with the token where it asks for one."""
        shown = gethostname() if self.host in ("0.0.0.0", "::") else self.host
        shown = f"[{shown}]" if ":" in shown else shown
        ask = "" if self.token is None else f"?token={self.token}"
        return f"http://{shown}:{self.port}/{ask}"

    def answers_to(self, said: str | None) -> bool:
        """Whether a `Host` header names this machine as it may be named.

        An address of numbers cannot be bent by whoever owns a name, so where a token is asked for
        each of them will do; on the loopback only those of the loopback.
        """
        try:
            parts = urlsplit(f"//{said or ''}")
            name, port = (parts.hostname or "").lower(), parts.port or 80
        except ValueError:
            return False
        if port != self.port or parts.username is not None or parts.path:
            return False
        if name in ("localhost", *self._names):
            return True
        if is_address(name):
            return is_loopback(name) or not self.local
        return not self.local and name in (gethostname().lower(), self.host.lower())

    def lets_in(self, shown: str) -> bool:
        """Whether a token is the right one; it takes as long for a wrong one."""
        return self.token is None or secrets.compare_digest(shown.encode(), self.token.encode())

    def run(self) -> None:
        """Answer until `stop` is called from another thread."""
        self._server.serve_forever(poll_interval=0.05)

    def stop(self) -> None:
        """Let `run` return, in whichever thread it is, and let go of the port."""
        self.ended = True  # a browser keeps its connection open and would still be answered
        self._server.shutdown()
        self._server.server_close()

    def close(self) -> None:
        """Let go of the port."""
        self._server.server_close()


def is_address(name: str) -> bool:
    """Whether a name is an address of numbers.

    Example:
        >>> is_address("127.0.0.1"), is_address("::1"), is_address("example.org")
        (True, True, False)
    """
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(name: str) -> bool:
    """Whether an address is reached from this machine alone.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    return name == "localhost" or (is_address(name) and ip_address(name).is_loopback)


class _LiveHandler(PageHandler):
    def __init__(self, page: LivePage, *arguments: Any) -> None:
        self.page = page
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Give the page, what it shows, or a report."""
        asked = urlsplit(self.path)
        if not self._admitted(parse_qs(asked.query)):
            return
        path = asked.path
        if path == "/" or path.startswith("/work/"):
            self.send_page(_PAGE.read_text("utf-8"))
        elif path == "/data":
            self._send_if_new(self.page.shelf.overview())
        elif path.startswith("/data/"):
            self._send_if_new(self.page.shelf.detail(path.removeprefix("/data/")))
        elif path.startswith("/report/"):
            self._send_report(path.removeprefix("/report/"))
        else:
            self.send_value(404, {"error": "there is nothing here"})

    def do_POST(self) -> None:
        """Take the token of the form."""
        length = self.headers.get("Content-Length", "")
        if not self._named():
            return
        if urlsplit(self.path).path != "/door" or self.page.token is None:
            self.close_connection = True  # the body is not read
            self.send_value(404, {"error": "there is nothing here"})
            return
        if not (length.isascii() and length.isdigit()) or int(length) > LARGEST_FORM:
            self.close_connection = True
            self.send_value(413, {"error": f"expected at most {LARGEST_FORM:,} bytes"})
            return
        form = parse_qs(self.rfile.read(int(length)).decode("utf-8", "replace"))
        self._let_in_by(form.get("token", [""])[0])

    def _named(self) -> bool:
        if self.page.answers_to(self.headers.get("Host")) and not self.page.ended:
            return True
        self.close_connection = True
        if self.page.ended:
            self.send_value(503, {"error": "the program has ended"})
            return False
        self.send_value(403, {"error": "expected the address that the program printed"})
        return False

    def _admitted(self, query: dict[str, list[str]]) -> bool:
        """Whether to answer; where not, the answer was given."""
        if not self._named():
            return False
        if self.page.token is None or self.page.lets_in(self._cookie()):
            return True
        if "token" in query:
            self._let_in_by(query["token"][0])
        elif urlsplit(self.path).path.startswith("/data"):
            self.send_value(401, {"error": "expected the token that the program printed"})
        else:
            self.send_page(_DOOR.read_text("utf-8").replace("{{said}}", ""), 401)
        return False

    def _let_in_by(self, token: str) -> None:
        """Keep a right token in a cookie that no script and no other site can use."""
        if not self.page.lets_in(token):
            said = "This is not the token that the program printed."
            self.send_page(_DOOR.read_text("utf-8").replace("{{said}}", said), 401)
            return
        path = urlsplit(self.path).path
        again = path if path.startswith("/work/") else "/"
        kept = f"{COOKIE}-{self.page.port}={token}; HttpOnly; SameSite=Strict; Path=/"
        self.write(303, b"", "text/plain", "default-src 'none'", Location=again, Set_Cookie=kept)

    def _cookie(self) -> str:
        try:
            found = SimpleCookie(self.headers.get("Cookie", ""))
        except CookieError:
            return ""
        kept = found.get(f"{COOKIE}-{self.page.port}")
        return "" if kept is None else kept.value

    def _send_if_new(self, value: object) -> None:
        """Answer with data, or that they are as the page has them."""
        tag = f'"{hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]}"'
        if self.headers.get("If-None-Match") == tag:
            self.write(304, b"", "application/json", "default-src 'none'", ETag=tag)
            return
        self.send_value(200, value, ETag=tag)

    def _send_report(self, name: str) -> None:
        """The page that a verb wrote, with nothing in it that runs."""
        folder = folder_named(self.page.shelf.root, name)
        work = None if folder is None else work_in(self.page.shelf.root, folder)
        body = None if work is None else _page_of(work.folder, self.page.shelf.root)
        if body is None:
            self.send_value(404, {"error": "there is no report here (any more)"})
            return
        self.write(200, body, "text/html; charset=utf-8", _REPORT)


def _page_of(folder: Path, root: Path) -> bytes | None:
    path = folder / "report" / "index.html"
    try:
        if path.resolve().is_relative_to(root.resolve()) and path.stat().st_size <= LARGEST_PAGE:
            return path.read_bytes()
    except OSError:
        pass
    return None
