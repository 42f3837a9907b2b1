"""Calls to an OpenAI-compatible server: what is sent, and what is tried again."""

import math
import os
import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from threading import Event
from typing import Any, TypeVar

import httpx

from plumbrule.errors import AccessError, DataError, EndpointError, PlumbruleError
from plumbrule.models.answer_reading import ErrorInside, Unreadable, read_answer
from plumbrule.models.answering import Answer, refused
from plumbrule.models.asking import to_bytes
from plumbrule.models.budget import Bill
from plumbrule.models.concealing import conceal
from plumbrule.models.server_words import (
    Said,
    is_moderation,
    is_quota,
    is_too_long,
    read_words,
)
from plumbrule.store import derive_seed

_MAX_ANSWER_BYTES = 32 * 2**20
_RETRIED = frozenset({408, 409, 425, 429})
_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")

MOST_UNREADABLE = 3
"""Answers without a reply that one request is charged for."""

T = TypeVar("T")


class RequestRefused(AccessError):
    """The server says that the request itself is wrong; asking again would not help."""

    def __init__(self, message: str, said: Said | None = None) -> None:
        super().__init__(message)
        self.said = said or Said(message="", words="")


class GivenUp(EndpointError):
    """A request that was not made, or not again, because another one failed."""


@dataclass(frozen=True, kw_only=True)
class RequestBatch:
    """What one batch of requests shares."""

    client: httpx.Client
    stop: Event
    """Set when one request of the batch has failed for good."""


@dataclass(frozen=True, kw_only=True)
class _Response:
    """What came back, before anyone has looked inside."""

    status: int
    retry_after: str | None
    text: str


class Caller:
    """Sends requests to one address, and asks again where that can help."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None,
        key_variable: str,
        timeout_seconds: float,
        max_attempts: int,
        backoff_seconds: float,
        max_wait_seconds: float,
        max_concurrent: int,
    ) -> None:
        """Take the address in; nothing is sent yet."""
        self._url = url
        self._key = key
        self._key_variable = key_variable
        self._timeout_seconds = timeout_seconds
        self._backoff_seconds = backoff_seconds
        self._max_wait_seconds = max_wait_seconds
        self.max_attempts = max_attempts
        self._max_concurrent = max_concurrent

    @contextmanager
    def round(self) -> Iterator["RequestBatch"]:
        """Connections for one batch of requests; none stays open after it.

        Raises:
            AccessError: A variable of the environment names a proxy or certificates that cannot be
                used.
        """
        try:
            client = httpx.Client(
                headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
                timeout=self._timeout_seconds,
                limits=httpx.Limits(max_connections=self._max_concurrent),
                verify=self._tls,
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise AccessError(proxy_problem(error)) from error
        with client:
            yield RequestBatch(client=client, stop=Event())

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        try:
            return httpx.create_ssl_context()  # reading the certificates takes longer than a call
        except (OSError, ValueError) as error:
            given = {name: os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
            named = ", ".join(f"{name}={value}" for name, value in given.items() if value)
            raise AccessError(
                f"expected certificates where {named or 'this system keeps them'} says, they "
                f"cannot be read: {error}. Correct that variable of the environment or unset it."
            ) from error

    def post(self, body: Mapping[str, Any], bill: Bill, batch: "RequestBatch") -> Answer:
        """Send one request once.

        Raises:
            TryAgain: It failed in a way that may pass.
            RequestRefused: The server refused this request, or this key.
            DataError: The text is longer than the model reads.
            EndpointError: It will not answer before somebody pays.
        """
        try:
            response = self._send(body, batch.client)
        except httpx.HTTPError as error:
            bill.charged = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            raise TryAgain(f"{type(error).__name__}: {self.clean(str(error))}") from error
        if 200 <= response.status < 300:
            try:
                return read_answer(response.text, key=self._key)
            except Unreadable as error:
                what = f"an answer without a reply: {self.clean(str(error))}"
                if not error.for_ever:
                    raise TryAgain(what, unreadable=True) from error
                raise RequestRefused(
                    f"{self._url} gave {what}. It is not asked again: take an address that speaks "
                    "the chat protocol of OpenAI (mostly .../v1)."
                ) from error
            except ErrorInside as error:
                bill.charged = False
                inner = error.said.status or 0
                status = inner if 400 <= inner < 600 else 200
                return self._other(status, error.said, response)
        bill.charged = False
        return self._other(response.status, read_words(response.text), response)

    def _other(self, status: int, said: Said, response: "_Response") -> Answer:
        """What comes of a status that is no good one: a refused reply, or an error."""
        if status in (200, 400, 403, 422, 451) and is_moderation(said):
            return refused(self.clean(said.message))
        words = self.clean(said.message or response.text)
        if status == 413 or (status in (200, 400, 422) and is_too_long(said)):
            raise DataError(
                f"expected a text that {self._url} can read whole, it answered {status}: {words} "
                "Shorten the text, or lower the longest reply."
            )
        if status == 402 or (status in (403, 429) and is_quota(said)):
            raise EndpointError(
                f"{self._url} answered {status}: {words} Every answer so far is kept: once that is "
                "settled, give the same command to go on."
            )
        if status in _RETRIED or status == 200 or status >= 500:
            wait = _retry_after(response.retry_after)
            where = "an error in place of an answer" if status == 200 else f"status {status}"
            raise TryAgain(f"{where}: {words}", wait_seconds=wait)
        raise RequestRefused(self._explain(status, words), said)

    def wait(self, trouble: "TryAgain", *, attempt: int, key: str, batch: "RequestBatch") -> None:
        """Pause before the next attempt, as long as the server asks, else twice as long each time.

        The jitter comes from what was asked, so that a run waits alike each time it is made.
        """
        jitter = random.Random(derive_seed(0, key, attempt)).uniform(0.5, 1.0)
        seconds = self._backoff_seconds * 2**attempt * jitter
        if trouble.wait_seconds is not None:
            seconds = trouble.wait_seconds
        if batch.stop.wait(min(seconds, self._max_wait_seconds)):
            raise GivenUp(f"{self._url} was given up because another request failed")

    def give_up(self, trouble: "TryAgain", attempts: int) -> EndpointError:
        """The error after the last attempt."""
        return EndpointError(
            f"expected an answer from {self._url}, got none in {attempts} attempts; the last: "
            f"{trouble}. "
            "Every answer so far is kept: give the same command to go on."
        )

    def _send(self, body: Mapping[str, Any], client: httpx.Client) -> "_Response":
        """The whole answer, within the time allowed and a size that fits in memory."""
        deadline = time.monotonic() + self._timeout_seconds
        content = bytearray()
        headers = {"Content-Type": "application/json"}
        request = client.build_request("POST", self._url, content=to_bytes(body), headers=headers)
        response = client.send(request, stream=True)
        try:
            for chunk in response.iter_bytes():
                content += chunk
                # A server that drips bytes never trips the time-out between two of them.
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"no whole answer in {self._timeout_seconds} seconds")
                if len(content) > _MAX_ANSWER_BYTES:
                    raise httpx.ReadError(f"an answer of over {_MAX_ANSWER_BYTES} bytes")
        finally:
            response.close()
        return _Response(
            status=response.status_code,
            retry_after=response.headers.get("retry-after"),
            text=content.decode("utf-8", errors="replace"),
        )

    def _explain(self, status: int, words: str) -> str:
        said = f"{self._url} answered {status}: {words}"
        if status in (401, 403):
            given = "the key in it was refused" if self._key else "it is not set"
            return (
                f"{said} The key is read from {self._key_variable}; {given}: put a valid one there."
            )
        if status in (404, 405):
            return (
                f"{said} Check that the address ends where the API begins (mostly /v1) and that "
                "the server offers "
                "this model."
            )
        return f"{said} It is not sent again: change what the server names."

    def clean(self, text: str) -> str:
        """A server's words, on one line, cut, and without the key."""
        text = conceal(text, self._key)
        line = "".join(letter if letter.isprintable() else " " for letter in text)
        return " ".join(line.split())[:300] or "(no words)"


def proxy_problem(error: Exception) -> str:
    """What is wrong with a proxy that the environment names."""
    names = [name for name in _PROXIES if os.environ.get(name) or os.environ.get(name.lower())]
    variables = " or ".join(names) or "the environment"
    hint = ""
    if isinstance(error, ImportError):
        hint = " A proxy over SOCKS needs the package socksio: pip install 'httpx[socks]'."
    return (
        f"expected a proxy that can be used in {variables}, got another: {error}.{hint} Correct "
        "that variable, or unset it where the address is reached without a proxy."
    )


class TryAgain(PlumbruleError):
    """A failure that may pass."""

    def __init__(
        self, message: str, *, wait_seconds: float | None = None, unreadable: bool = False
    ) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds
        self.unreadable = unreadable
        """An answer came, and was charged, and held no reply."""


def _retry_after(value: str | None) -> float | None:
    """Seconds a server asks to wait, given as such or as a date; None where it asks nothing."""
    if not value:
        return None
    try:
        seconds = float(value)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        return max(0.0, (when - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def together(jobs: Sequence[Callable[[], T]], *, batch: RequestBatch, workers: int) -> list[T]:
    """Do jobs side by side, and give their results in order.

    After a failure no job is started any more; those under way finish, so that what they paid for
    is kept, and the failure is raised.
    """
    if not jobs:
        return []
    pool = ThreadPoolExecutor(min(workers, len(jobs)), thread_name_prefix="endpoint")
    futures = [pool.submit(job) for job in jobs]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
    finally:
        batch.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
    done = [future for future in futures if not future.cancelled()]
    failed = [error for future in done if (error := future.exception()) is not None]
    if failed:
        raise min(failed, key=lambda error: isinstance(error, GivenUp))
    return [future.result() for future in futures]
