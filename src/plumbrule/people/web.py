"""Labeling on a page of this machine.

The server listens on the loopback alone, and answers only who knows the random word in its address
and comes from its own page. Text of items goes to the page as JSON and into it as text nodes; the
page may load nothing and run nothing but its own script.
"""

import json
import operator
import secrets
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from plumbrule.errors import ConfigError, OutsideError, PlumbruleError
from plumbrule.local_pages import PageHandler, listen
from plumbrule.people.database import LabelQueue
from plumbrule.people.queue import side_order
from plumbrule.people.records import MarkedSpan, QueueItem, ServedItem, turned

PORT = 7462
"""Where the page is by default, so that a browser finds again what it kept for it."""

LARGEST_BODY = 2**18
"""Bytes of what a page may send at once."""

_PAGE = Path(__file__).parent / "page.html"


class LabelPage:
    """A page that serves one queue; `run` until `stop`, and `close` it at the end."""

    def __init__(
        self, queue: LabelQueue, *, port: int | None = None, adjudicate: bool = False
    ) -> None:
        """Listen, without answering yet.

        Args:
            queue: What to ask about.
            port: Of the loopback; None takes `PORT`, or any that is free.
            adjudicate: Ask about items on which others differ.

        Raises:
            ConfigError: The port is taken or may not be used.
        """
        self.queue, self.adjudicate = queue, adjudicate
        self.word = secrets.token_urlsafe(24)
        handler = partial(_Handler, self)
        self._server = listen("127.0.0.1", (PORT, 0) if port is None else (port,), handler)
        self.hosts = {f"{name}:{self.port}" for name in ("127.0.0.1", "localhost")}

    @property
    def port(self) -> int:
        """Where the server listens."""
        return int(self._server.server_address[1])

    def url(self, annotator: str) -> str:
        """Address of the page for one person."""
        return f"http://127.0.0.1:{self.port}/{self.word}/?who={quote(annotator)}"

    def run(self) -> None:
        """Answer until `stop` is called from another thread."""
        self._server.serve_forever(poll_interval=0.05)

    def stop(self) -> None:
        """Let `run` return."""
        self._server.shutdown()

    def close(self) -> None:
        """Let go of the port. The queue stays open."""
        self._server.server_close()

    def act(self, what: str, said: Mapping[str, Any]) -> dict[str, Any]:
        """Do what the page asks, and give it what to show next.

        Args:
            what: `next`, `answer`, `skip`, `flag`, `undo` or `draft`.
            said: What came with it.

        Raises:
            ConfigError: Something is missing or of another kind than it must be.
            DataError: The queue refuses it; see `LabelQueue`.
            StorageError: The database does not answer.
        """
        who = _of(said, "who", str)
        token = _of(said, "token", str) if "token" in said else None
        if token is not None and not (len(token) <= 80 and token.isprintable()):
            raise ConfigError("expected a token of at most 80 visible characters")
        note = ""
        if what in ("answer", "skip", "flag", "draft"):
            item = self.queue.item(_of(said, "item", str))
            order = side_order(item, who.strip(), self.queue.settings.seed)
            reason, spans = str(said.get("reason") or ""), _spans(said.get("spans"), order)
            if what == "answer":
                self.queue.answer(
                    who,
                    item.id,
                    turned(_of(said, "answer", str), order),
                    seconds=_seconds(said.get("seconds")),
                    reason=reason,
                    spans=spans,
                    token=token,
                )
            elif what == "skip":
                self.queue.skip(who, item.id, token=token)
            elif what == "flag":
                self.queue.flag(who, item.id, reason=reason, token=token)
            else:
                self.queue.keep_draft(who, item.id, reason=reason, spans=spans)
                return {}
        elif what == "undo":
            back = self.queue.undo(who, adjudicate=self.adjudicate, token=token)
            note = "Taken back." if back else "There is nothing to undo."
        elif what != "next":
            raise ConfigError(f"a page asks for an item or answers one, got {what!r:.40}")
        served = self.queue.serve(who, adjudicate=self.adjudicate)
        progress = self.queue.progress(who, adjudicate=self.adjudicate)
        return {
            "item": None if served is None else _shown(served),
            "progress": vars(progress),
            "note": note,
        }


def _shown(served: ServedItem) -> dict[str, Any]:
    """What a page may know of an item: no source, no judges, no answer."""
    item: QueueItem = served.item
    return {
        "id": item.id,
        "kind": item.kind,
        "principle": item.principle,
        "principle_id": item.principle_id,
        "request": item.request,
        "replies": served.shown,
        "reason": served.reason,
        "spans": [
            {"reply": served.order.index(span.reply), "start": span.start, "end": span.end}
            for span in served.spans
        ],
    }


def _of(said: Mapping[str, Any], name: str, kind: type[str]) -> str:
    value = said.get(name)
    if not isinstance(value, kind):
        raise ConfigError(f"expected text as `{name}`, got {type(value).__name__}")
    return value


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"expected a number of seconds, got {type(value).__name__}")
    return min(round(float(value), 3), 86_400.0)  # a page that was open over night


def _spans(value: object, order: tuple[int, ...]) -> tuple[MarkedSpan, ...]:
    """Spans of the sides of the page, as spans of the item."""
    spans = []
    for each in value if isinstance(value, list) else []:
        try:
            side, start, end = (operator.index(each[name]) for name in ("reply", "start", "end"))
            reply = dict(enumerate(order))[side]
            spans.append(MarkedSpan(reply=reply, start=start, end=end))
        except (TypeError, KeyError) as error:
            raise ConfigError(
                f"expected a span as reply, start and end, got {each!s:.60}"
            ) from error
    return tuple(spans)


class _Handler(PageHandler):
    def __init__(self, page: LabelPage, *arguments: Any) -> None:
        self.page = page
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Give the page itself."""
        what = self._asked()
        if what is None:
            return
        if what != "":
            self.send_value(404, {"error": "there is nothing here"})
            return
        self.send_page(_PAGE.read_text(encoding="utf-8"))

    def do_POST(self) -> None:
        """Do what the page asks."""
        what = self._asked()
        if what is None:
            return
        origin = self.headers.get("Origin")
        if origin is None or urlsplit(origin).netloc not in self.page.hosts:
            self.send_value(403, {"error": "this does not come from the page itself"})
            return
        if self.headers.get_content_type() != "application/json":
            self.send_value(415, {"error": "expected JSON"})
            return
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or int(length) > LARGEST_BODY:
            self.close_connection = True  # the body is not read
            self.send_value(413, {"error": f"expected at most {LARGEST_BODY:,} bytes"})
            return
        try:
            said = json.loads(self.rfile.read(int(length)))
            if not isinstance(said, dict):
                raise ValueError("no object")
        except (ValueError, RecursionError):
            self.send_value(400, {"error": "expected a JSON object"})
            return
        try:
            self.send_value(200, self.page.act(what, said))
        except OutsideError as error:
            self.send_value(503, {"error": str(error)})
        except PlumbruleError as error:
            self.send_value(409, {"error": str(error)})

    def _asked(self) -> str | None:
        """What is asked for behind the word; None, and an answer, where that may not be asked."""
        # Another site may have its name point here; it cannot have its name read so.
        if self.headers.get("Host") not in self.page.hosts:
            self.close_connection = True
            self.send_value(403, {"error": "expected the address that the program printed"})
            return None
        word, slash, what = urlsplit(self.path).path.lstrip("/").partition("/")
        if not slash or not secrets.compare_digest(word.encode(), self.page.word.encode()):
            self.close_connection = True
            self.send_value(404, {"error": "there is nothing here"})
            return None
        return what
