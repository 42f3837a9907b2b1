"""Calls to an OpenAI-compatible server: what is sent, what may come back, what is tried again."""

import json
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
from typing import Annotated, Any, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plumbrule.errors import EndpointError, ModelError, PlumbruleError
from plumbrule.models.budget import Bill
from plumbrule.store import derive_seed

_MAX_ANSWER_BYTES = 32 * 2**20
_RETRIED = frozenset({408, 409, 425, 429})
_FILTERED = "content_filter"

T = TypeVar("T")


class _Part(BaseModel):
    """Servers add fields of their own; those are left out, and NaN is refused."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class TopToken(_Part):
    """One token the server could have written, with its natural log-probability."""

    token: str
    logprob: float


class AnswerToken(TopToken):
    """One token it wrote, and the likeliest ones at that place."""

    top_logprobs: list[TopToken] = []


class AnswerTokens(_Part):
    """The tokens of a reply; None where the server keeps them to itself."""

    content: list[AnswerToken] | None = None


class AnswerMessage(_Part):
    """The reply itself."""

    content: str | None = None
    refusal: str | None = None


class AnswerChoice(_Part):
    """The reply with how it ended."""

    message: AnswerMessage
    finish_reason: str | None = None
    logprobs: AnswerTokens | None = None


class AnswerUsage(_Part):
    """Tokens billed."""

    prompt_tokens: Annotated[int, Field(ge=0)]
    completion_tokens: Annotated[int, Field(ge=0)]


class Answer(_Part):
    """All that is read of a server's answer, and all that the cache keeps."""

    choices: Annotated[list[AnswerChoice], Field(min_length=1)]
    usage: AnswerUsage | None = None


class RequestRefused(ModelError):
    """The server says that the request itself is wrong; asking again would not help."""


class GivenUp(EndpointError):
    """A request that was not made, or not again, because another one failed."""


@dataclass(frozen=True, kw_only=True)
class Round:
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
    def round(self) -> Iterator["Round"]:
        """Connections for one batch of requests; none stays open after it."""
        with httpx.Client(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=self._timeout_seconds,
            limits=httpx.Limits(max_connections=self._max_concurrent),
            verify=self._tls,
        ) as client:
            yield Round(client=client, stop=Event())

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return httpx.create_ssl_context()  # reading the certificates takes longer than a call

    def post(self, body: Mapping[str, Any], bill: Bill, batch: "Round") -> Answer:
        """Send one request once.

        Raises:
            TryAgain: It failed in a way that may pass.
            RequestRefused: The server refused this request, or this key.
        """
        try:
            response = self._send(body, batch.client)
        except httpx.TransportError as error:
            bill.charged = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            raise TryAgain(f"{type(error).__name__}: {self._clean(str(error))}") from error
        status, text = response.status, response.text
        if status == 200:
            return self._read(text)
        bill.charged = False
        if status == 400 and _error_code(text) == _FILTERED:
            message = AnswerMessage(refusal="the provider's filter refused the prompt")
            return Answer(choices=[AnswerChoice(message=message, finish_reason=_FILTERED)])
        if status in _RETRIED or status >= 500:
            wait = _retry_after(response.retry_after)
            raise TryAgain(f"status {status}: {self._clean(text)}", wait_seconds=wait)
        raise RequestRefused(self._explain(status, text))

    def wait(self, trouble: "TryAgain", *, attempt: int, key: str, batch: "Round") -> None:
        """Pause before the next attempt, as long as the server asks, else twice as long each time.

        The jitter comes from what was asked, so that a run waits alike each time it is made.
        """
        jitter = random.Random(derive_seed(0, key, attempt)).uniform(0.5, 1.0)
        seconds = self._backoff_seconds * 2**attempt * jitter
        if trouble.wait_seconds is not None:
            seconds = trouble.wait_seconds
        if batch.stop.wait(min(seconds, self._max_wait_seconds)):
            raise GivenUp(f"{self._url} was given up because another request failed")

    def give_up(self, trouble: "TryAgain") -> EndpointError:
        """The error after the last attempt."""
        return EndpointError(
            f"expected an answer from {self._url}, got none in {self.max_attempts} attempts; the "
            f"last: {trouble}. "
            "Every answer so far is kept: give the same command to go on."
        )

    def _send(self, body: Mapping[str, Any], client: httpx.Client) -> "_Response":
        """The whole answer, within the time allowed and a size that fits in memory."""
        deadline = time.monotonic() + self._timeout_seconds
        content = bytearray()
        with client.stream("POST", self._url, json=body) as response:
            for chunk in response.iter_bytes():
                content += chunk
                # A server that drips bytes never trips the time-out between two of them.
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"no whole answer in {self._timeout_seconds} seconds")
                if len(content) > _MAX_ANSWER_BYTES:
                    raise httpx.ReadError(f"an answer of over {_MAX_ANSWER_BYTES} bytes")
            return _Response(
                status=response.status_code,
                retry_after=response.headers.get("retry-after"),
                text=content.decode("utf-8", errors="replace"),
            )

    def _read(self, text: str) -> Answer:
        if self._key:
            text = text.replace(self._key, "[key]")
        try:
            return Answer.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "the answer"
            raise TryAgain(f"an answer of the wrong form: {place}: {first['msg']}") from error

    def _explain(self, status: int, text: str) -> str:
        said = f"{self._url} answered {status}: {self._clean(text)}"
        if status in (401, 403):
            given = "the key in it was refused" if self._key else "it is not set"
            return (
                f"{said} The key is read from {self._key_variable}; {given}: put a valid one there."
            )
        if status == 404:
            return (
                f"{said} Check that the address ends where the API begins (mostly /v1) and that "
                "the server offers "
                "this model."
            )
        return f"{said} It is not sent again: change what the server names."

    def _clean(self, text: str) -> str:
        """A server's words, on one line, cut, and without the key."""
        if self._key:
            text = text.replace(self._key, "[key]")
        line = "".join(letter if letter.isprintable() else " " for letter in text)
        return " ".join(line.split())[:300] or "(no words)"


class TryAgain(PlumbruleError):
    """A failure that may pass."""

    def __init__(self, message: str, *, wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


def _retry_after(value: str | None) -> float | None:
    """Seconds a server asks to wait, given as such or as a date; None where it asks nothing."""
    if not value:
        return None
    try:
        return max(0.0, float(int(value)))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _error_code(text: str) -> str | None:
    try:
        value = json.loads(text)
        code = value["error"]["code"]
    except (json.JSONDecodeError, KeyError, TypeError, RecursionError):
        return None
    return code if isinstance(code, str) else None


def together(jobs: Sequence[Callable[[], T]], *, batch: Round, workers: int) -> list[T]:
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
