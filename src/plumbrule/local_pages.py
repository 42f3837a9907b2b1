"""What every page that is served on this machine answers by: hosts, headers, one script at most."""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6
from typing import Any

from plumbrule.errors import ConfigError, brief

STRICT = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""What a page may load and run: its own script and style, and nothing that came with a text."""

NOTHING = "default-src 'none'; frame-ancestors 'none'"

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class PageServer(ThreadingHTTPServer):
    """A thread a connection; none keeps the program from ending."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        """Listen; an address with colons is one of version 6."""
        if ":" in address[0]:
            self.address_family = AF_INET6
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no news."""


def listen(
    address: str, ports: Sequence[int], handler: Callable[..., BaseHTTPRequestHandler]
) -> PageServer:
    """Listen at the first port that can be had, without answering yet.

    Args:
        address: Of this machine.
        ports: To be tried in order; 0 takes any that is free.
        handler: Answers a connection.

    Raises:
        ConfigError: None of them can be used.
    """
    trouble: Exception | None = None
    for port in ports:
        try:
            return PageServer((address, port), handler)
        except (OSError, OverflowError) as error:
            trouble = error
    raise ConfigError(
        f"port {ports[-1]} cannot be used at {address}: {brief(trouble or OSError())}; give "
        "another with --port"
    )


class PageHandler(BaseHTTPRequestHandler):
    """Answers with the headers that keep other sites and other people's scripts out."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "plumbrule", ""
    timeout = 60  # seconds that a connection may stand idle

    def send_value(self, status: int, value: object, **more: str) -> None:
        """Answer with JSON.

        Args:
            status: Of the answer.
            value: What JSON can hold.
            more: Further headers, `_` for `-`.
        """
        # In ASCII: the reader of JSON in a browser then cannot stumble over half characters.
        self.write(status, json.dumps(value).encode(), "application/json", NOTHING, **more)

    def send_page(self, html: str, status: int = 200, **more: str) -> None:
        """Answer with a page of ours, whose script and style alone may run: `{{nonce}}` in them."""
        nonce = secrets.token_urlsafe(16)
        body = html.replace("{{nonce}}", nonce).encode()
        self.write(status, body, "text/html; charset=utf-8", STRICT.format(nonce=nonce), **more)

    def write(self, status: int, body: bytes, kind: str, policy: str, **more: str) -> None:
        """Answer with bytes of a kind, under a policy of what may load and run."""
        self.send_response(status)
        headers: Mapping[str, str] = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            **HEADERS,
            "Content-Security-Policy": policy,
            **{name.replace("_", "-"): value for name, value in more.items()},
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: an address may hold a secret."""
