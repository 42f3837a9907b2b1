"""Reads traces and logs of models in use: every shape that instrumentations write.

Taken in: OTLP/JSON of spans and of log events (one export a line), spans as the console exporter
prints them, and plain lines of conversations. Content is looked for where the conventions put it
now (`gen_ai.input.messages`, `gen_ai.output.messages`, on the span or on the event
`gen_ai.client.inference.operation.details`), where they put it before 1.37 (one event a message,
`gen_ai.content.prompt`, `gen_ai.prompt.N.*`), and where OpenInference does
(`llm.input_messages.N.message.*`). Spans of agents, tools and chains repeat what the spans of the
model beneath them hold, so only calls of a model count.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from plumbrule.errors import DataError
from plumbrule.monitoring.traffic import TracePiece, message, seconds
from plumbrule.records import Message

DEEPEST = 20
"""Levels of a value within values."""

CALLS = frozenset({"chat", "text_completion", "generate_content"})
"""Operations that are a call of a model, by `gen_ai.operation.name`."""

VARIANT = "feature_flag.result.variant"
"""Attribute in which a server says which arm of a trial answered."""

DETAILS = "gen_ai.client.inference.operation.details"
_SPOKEN = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
CHOICE = "gen_ai.choice"


def read_pieces(value: Any) -> list[TracePiece]:
    """Read one JSON value of a source.

    Args:
        value: An OTLP export of traces or logs, a span, or a conversation.

    Returns:
        The pieces that tell of replies, in their order; none where it tells of other work.

    Raises:
        DataError: It is none of these.
    """
    if not isinstance(value, dict):
        raise DataError(f"expected an object, got {type(value).__name__}")
    spans = value.get("resourceSpans", value.get("resource_spans"))
    logs = value.get("resourceLogs", value.get("resource_logs"))
    if spans is not None or logs is not None:
        found = [piece for span in _scoped(spans, "Spans", "spans") for piece in _of_span(*span)]
        found += [piece for log in _scoped(logs, "Logs", "logRecords") for piece in _of_event(*log)]
        return found
    if "resourceMetrics" in value or "resource_metrics" in value:
        return []
    context = value.get("context")
    if isinstance(context, dict) or "traceId" in value or "attributes" in value:
        return list(_of_span(_plain_span(value), {}))
    return [_of_line(value)]


def _scoped(resources: Any, what: str, items: str) -> Iterator[tuple[dict[str, Any], Any]]:
    """Every span or log record, with the attributes of its resource."""
    snake = {"Spans": "scope_spans", "Logs": "scope_logs"}[what]
    for resource in _dicts(resources):
        about = attributes((resource.get("resource") or {}).get("attributes"))
        for scope in _dicts(resource.get(f"scope{what}", resource.get(snake))):
            for each in _dicts(scope.get(items, scope.get("log_records"))):
                yield each, about


def _dicts(values: Any) -> Iterator[dict[str, Any]]:
    if isinstance(values, list):
        for each in values:
            if isinstance(each, dict):
                yield each


def attributes(given: Any) -> dict[str, Any]:
    """Attributes as plain values, from OTLP's list of keys or from a mapping."""
    if isinstance(given, dict):
        return given
    found: dict[str, Any] = {}
    if isinstance(given, list):
        for each in given:
            if isinstance(each, dict) and isinstance(each.get("key"), str):
                value = each.get("value")
                text = value.get("stringValue") if isinstance(value, dict) else None
                found[each["key"]] = text if text is not None else _any_value(value)
    return found


def _any_value(value: Any, depth: int = 0) -> Any:
    """OTLP's AnyValue as what it stands for."""
    if not isinstance(value, dict) or depth > DEEPEST:
        return None
    for name, held in value.items():
        kind = name.replace("_", "").lower()
        if kind in ("stringvalue", "boolvalue", "doublevalue", "bytesvalue"):
            return held
        if kind == "intvalue":
            try:
                return int(held)
            except (TypeError, ValueError):
                return None
        if kind == "arrayvalue":
            return [_any_value(each, depth + 1) for each in _dicts((held or {}).get("values"))]
        if kind == "kvlistvalue":
            return {
                str(each.get("key")): _any_value(each.get("value"), depth + 1)
                for each in _dicts((held or {}).get("values"))
            }
    return None


def _plain_span(value: Mapping[str, Any]) -> dict[str, Any]:
    """A span as the console exporter or OpenInference prints it, in the names of OTLP."""
    context = value.get("context") if isinstance(value.get("context"), dict) else {}
    assert isinstance(context, dict)
    return {
        **value,
        "traceId": value.get("traceId", context.get("trace_id", value.get("trace_id", ""))),
        "spanId": value.get("spanId", context.get("span_id", value.get("span_id", ""))),
        "startTimeUnixNano": value.get("startTimeUnixNano", value.get("start_time")),
        "endTimeUnixNano": value.get("endTimeUnixNano", value.get("end_time")),
    }


def _of_span(span: Mapping[str, Any], resource: Mapping[str, Any]) -> Iterator[TracePiece]:
    held = attributes(span.get("attributes"))
    operation = str(held.get("gen_ai.operation.name") or "")
    kind = str(held.get("openinference.span.kind") or span.get("span_kind") or "").upper()
    inputs, outputs = content_of(held)
    if not _is_call(operation, kind, held, bool(outputs)):
        return
    own = [_event(each) for each in _dicts(span.get("events"))]
    for name, told, body in own:
        more_in, more_out = _spoken(name, told, body)
        if not content_given(held):
            inputs, outputs = inputs + more_in, outputs + more_out
    yield TracePiece(
        key=_key(span),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        about=_about(held, resource, span, span.get("endTimeUnixNano")),
        whole=bool(outputs),
    )


_OTHER_KINDS = ("AGENT", "CHAIN", "TOOL", "RETRIEVER", "EMBEDDING", "RERANKER", "GUARDRAIL")


def _is_call(operation: str, kind: str, held: Mapping[str, Any], answered: bool) -> bool:
    """Whether a span is a call of a model, and not of what is around one."""
    if operation:
        return operation in CALLS
    if kind in _OTHER_KINDS:
        return False
    named = "gen_ai.request.model" in held or "gen_ai.system" in held
    return kind == "LLM" or answered or named


def _event(event: Mapping[str, Any]) -> tuple[str, dict[str, Any], Any]:
    """Name, attributes and body of an event of a span, or of a log record."""
    held = attributes(event.get("attributes"))
    name = event.get("eventName") or event.get("event_name") or event.get("name")
    body = event.get("body")
    if isinstance(body, dict) and any(key.endswith(("Value", "_value")) for key in body):
        body = _any_value(body)
    return str(name or held.get("event.name") or ""), held, body


def _of_event(event: Mapping[str, Any], resource: Mapping[str, Any]) -> Iterator[TracePiece]:
    name, held, body = _event(event)
    time = event.get("timeUnixNano") or event.get("observedTimeUnixNano")
    about = _about(held, resource, event, time)
    if name == DETAILS:
        operation = str(held.get("gen_ai.operation.name") or "chat")
        if operation in CALLS:
            inputs, outputs = content_of({**(body if isinstance(body, dict) else {}), **held})
            yield TracePiece(
                key=_key(event),
                inputs=tuple(inputs),
                outputs=tuple(outputs),
                about=about,
                whole=bool(outputs),
            )
    elif name in _SPOKEN or name == CHOICE:
        inputs, outputs = _spoken(name, held, body)
        yield TracePiece(key=_key(event), inputs=tuple(inputs), outputs=tuple(outputs), about=about)


def _spoken(
    name: str, held: Mapping[str, Any], body: Any
) -> tuple[list[Message], list[tuple[str, str]]]:
    """What an event of a message, or of a whole prompt or completion, says."""
    told = body if isinstance(body, dict) else loaded(held.get("gen_ai.event.content"))
    told = told if isinstance(told, dict) else held
    if name == DETAILS:
        return content_of({**told, **held})
    if name in _SPOKEN:
        text = text_of(told)
        return ([message(told.get("role") or _SPOKEN[name], text)] if text else []), []
    if name == CHOICE:
        inner = loaded(told.get("message"))
        text = text_of(inner) if isinstance(inner, dict | list) else str(inner or text_of(told))
        return [], ([(text, str(told.get("finish_reason") or ""))] if text else [])
    if name == "gen_ai.content.prompt":
        return _messages(held.get("gen_ai.prompt")), []
    if name == "gen_ai.content.completion":
        said = _messages(held.get("gen_ai.completion"))
        return [], [(each.content, "") for each in said]
    return [], []


def content_given(held: Mapping[str, Any]) -> bool:
    """Whether attributes hold content themselves, so that events would repeat it."""
    return any(key in held for key in ("gen_ai.output.messages", "gen_ai.completion")) or any(
        key.startswith(("gen_ai.completion.", "llm.output_messages")) for key in held
    )


def content_of(held: Mapping[str, Any]) -> tuple[list[Message], list[tuple[str, str]]]:
    """Input messages and replies that attributes hold, in whatever shape.

    Returns:
        What the model was given, and each reply with its finish reason.
    """
    inputs: list[Message] = []
    given = loaded(held.get("gen_ai.system_instructions"))
    if given:
        text = text_of({"parts": given} if isinstance(given, list) else given)
        inputs.append(Message("system", text))
    if "gen_ai.input.messages" in held or "gen_ai.output.messages" in held:
        inputs += _messages(held.get("gen_ai.input.messages"))
        said = loaded(held.get("gen_ai.output.messages"))
        outputs = [
            (text_of(each), str(each.get("finish_reason") or ""))
            for each in _dicts(said if isinstance(said, list) else [said])
        ]
        return inputs, [each for each in outputs if each[0]]
    for asked, answered in (
        ("gen_ai.prompt", "gen_ai.completion"),
        ("llm.input_messages", "llm.output_messages"),
        ("llm.prompts", "llm.completions"),
    ):
        before, after = _numbered(held, asked), _numbered(held, answered)
        if before or after:
            inputs += [message(each.get("role"), text_of(each)) for each in before]
            outputs = [(text_of(each), str(each.get("finish_reason") or "")) for each in after]
            return inputs, [each for each in outputs if each[0]]
    if held.get("output.value") and held.get("input.value"):
        inputs += _messages(held["input.value"])
        return inputs, [(str(held["output.value"]), "")]
    return inputs, []


def _numbered(held: Mapping[str, Any], prefix: str) -> list[dict[str, Any]]:
    """`prefix.0.role`, `prefix.0.message.content` … as messages; or a list under the prefix."""
    if prefix in held:
        value = loaded(held[prefix])
        values = value if isinstance(value, list) else [value]
        return [
            {key.removeprefix("message."): inner for key, inner in each.items()}
            if isinstance(each, dict)
            else {"content": str(each)}
            for each in values
            if each
        ]
    places: dict[int, dict[str, Any]] = {}
    start = prefix + "."
    for key, value in held.items():
        if key.startswith(start):
            number, _, rest = key[len(start) :].partition(".")
            if number.isdigit() and len(number) < 6:
                found = places.setdefault(int(number), {})
                rest = rest.removeprefix("message.").removeprefix("prompt.")
                if rest.startswith("contents.") and rest.endswith(".message_content.text"):
                    found["content"] = f"{found.get('content') or ''}{value}"
                else:
                    found.setdefault(rest, value)
    return [places[number] for number in sorted(places)]


def loaded(value: Any) -> Any:
    """Parse a text that holds JSON; anything else comes back unchanged."""
    if isinstance(value, str) and value[:1] in "[{":
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _messages(value: Any) -> list[Message]:
    """Messages in any of the usual shapes."""
    value = loaded(value)
    if isinstance(value, str):
        return [Message("user", value)] if value else []
    if isinstance(value, dict):
        value = value.get("messages", [value])
    found = []
    for each in value if isinstance(value, list) else []:
        if isinstance(each, dict):
            text = text_of(each)
            if text:
                found.append(message(each.get("role"), text))
        elif isinstance(each, str):
            found.append(Message("user", each))
    return found


def text_of(value: Any) -> str:
    r"""The text of a message: its parts one after another, calls of tools in brackets.

    What a model thought by itself (`reasoning`) is no part of its reply.

    Example:
        >>> text_of({"parts": [{"type": "text", "content": "Hi"}, {"type": "blob"}]})
        'Hi\n[blob]'
    """
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(filter(None, (_part(each) for each in value)))
    if not isinstance(value, dict):
        return ""
    for name in ("parts", "content", "contents", "text"):
        held = value.get(name)
        if isinstance(held, str) and held:
            text = held
            break
        if isinstance(held, list) and held:
            text = text_of(held)
            break
    else:
        text = ""
    calls = value.get("tool_calls")
    called = [_part({"type": "tool_call", **each}) for each in _dicts(calls)]
    return "\n".join(filter(None, (text, *called)))


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    kind = str(part.get("type") or "text")
    if kind in ("text", "input_text", "output_text"):
        return str(part.get("content") or part.get("text") or "")
    if kind in ("reasoning", "thinking"):
        return ""
    if kind == "tool_call":
        called = part.get("function") if isinstance(part.get("function"), dict) else part
        assert isinstance(called, dict)
        given = called.get("arguments")
        given = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        return f"[calls {called.get('name', '')}({given})]"
    if kind == "tool_call_response":
        held = part.get("response", part.get("result"))
        return f"[result {held if isinstance(held, str) else json.dumps(held)}]"
    return f"[{kind[:40]}]"


def _key(record: Mapping[str, Any]) -> str:
    trace = record.get("traceId") or record.get("trace_id") or ""
    span = record.get("spanId") or record.get("span_id") or ""
    return _text(f"{trace}/{span}") if trace and span else ""


def _about(
    held: Mapping[str, Any], resource: Mapping[str, Any], record: Mapping[str, Any], time: Any
) -> dict[str, Any]:
    arm = held.get(VARIANT) or resource.get(VARIANT)
    reasons = held.get("gen_ai.response.finish_reasons")
    return {
        "time": seconds(
            time if time not in (None, "", 0, "0") else record.get("startTimeUnixNano")
        ),
        "thread": _text(held.get("gen_ai.conversation.id") or held.get("session.id")),
        "model": _text(
            held.get("gen_ai.response.model")
            or held.get("gen_ai.request.model")
            or held.get("llm.model_name")
        ),
        "trace_id": _text(record.get("traceId") or record.get("trace_id")),
        "span_id": _text(record.get("spanId") or record.get("span_id")),
        "response_id": _text(held.get("gen_ai.response.id")),
        "arm": _text(arm),
        "finish_reason": _text(reasons[0]) if isinstance(reasons, list) and reasons else "",
    }


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    # Half of a surrogate pair is no text that a database or a file takes.
    return (text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8"))[:500]


_ASKED = ("prompt", "request", "input", "question")
_ANSWERED = ("reply", "response", "completion", "output", "answer")


def _of_line(value: Mapping[str, Any]) -> TracePiece:
    """A conversation as a line of JSON: `messages` with the reply last, or `prompt` and `reply`."""
    said: Any = next((value[name] for name in _ANSWERED if name in value), None)
    asked: Any = next((value[name] for name in _ASKED if name in value), None)
    inputs = _messages(value.get("messages", asked))
    if said is None and inputs and inputs[-1].role == "assistant":
        said, inputs = inputs[-1].content, inputs[:-1]
    if said is None and not inputs and not any(name in value for name in (*_ASKED, "messages")):
        raise DataError(
            "expected a conversation with `messages`, or `prompt` and `reply`, or an OTLP export; "
            f"got the fields {', '.join(sorted(map(str, value)))[:200]}"
        )
    text = said if isinstance(said, str) else text_of(said)
    own = value.get("id")
    thread = value.get("thread") or value.get("conversation") or value.get("conversation_id")
    return TracePiece(
        key=_text(own) if own is not None else "",
        inputs=tuple(inputs),
        outputs=((text, _text(value.get("finish_reason"))),) if text else (),
        about={
            "time": seconds(value.get("time", value.get("timestamp"))),
            "thread": _text(thread),
            "model": _text(value.get("model")),
            "arm": _text(value.get("arm")),
            "response_id": _text(value.get("response_id")),
            "trace_id": _text(value.get("trace_id")),
            "span_id": _text(value.get("span_id")),
        },
        whole=True,
    )


def merged(pieces: Iterable[TracePiece]) -> TracePiece:
    """Pieces of one reply as one, whatever came first; one that came twice counts once."""
    once = {(each.inputs, each.outputs, each.about.get("time")): each for each in pieces}
    several = sorted(once.values(), key=lambda each: each.about.get("time") or 0.0)
    about: dict[str, Any] = {}
    for each in several:
        for name, value in each.about.items():
            if value not in (None, "") and name not in about:
                about[name] = value
    filled = [each for each in several if each.outputs and each.inputs]
    if filled:  # one of them tells everything
        inputs, outputs = filled[0].inputs, filled[0].outputs
    else:
        inputs = tuple(turn for each in several for turn in each.inputs)
        outputs = tuple(one for each in several for one in each.outputs)
    return TracePiece(
        key=several[0].key,
        inputs=inputs,
        outputs=outputs,
        about=about,
        whole=True,
        cut=any(each.cut for each in several),
    )
