import json

import pytest

from plumbrule.errors import DataError
from plumbrule.monitoring import conversations_of, read_pieces
from plumbrule.monitoring.telemetry import merged
from plumbrule.monitoring.traffic import LONGEST_TEXT, seconds
from plumbrule.records import Message

ASKED, SAID = "How far is the mill?", "A mile."


def told(name, value):
    return {"key": name, "value": {"stringValue": value}}


def parts(role, text):
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


def export(attributes, *, events=(), span="b" * 16):
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [told("service.name", "shop")]},
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": "a" * 32,
                                "spanId": span,
                                "endTimeUnixNano": "1767225600000000000",
                                "attributes": attributes,
                                "events": list(events),
                            }
                        ]
                    }
                ],
            }
        ]
    }


def log(name, attributes=(), body=None, span="b" * 16):
    record = {
        "eventName": name,
        "traceId": "a" * 32,
        "spanId": span,
        "attributes": list(attributes),
    }
    if body is not None:
        record["body"] = body
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}


CURRENT = [
    told("gen_ai.operation.name", "chat"),
    told("gen_ai.input.messages", parts("user", ASKED)),
    told("gen_ai.output.messages", parts("assistant", SAID)),
]
STRUCTURED = [
    told("gen_ai.operation.name", "chat"),
    *(
        {
            "key": f"gen_ai.{way}.messages",
            "value": {
                "arrayValue": {
                    "values": [
                        {
                            "kvlistValue": {
                                "values": [
                                    told("role", role),
                                    {
                                        "key": "parts",
                                        "value": {
                                            "arrayValue": {
                                                "values": [
                                                    {
                                                        "kvlistValue": {
                                                            "values": [
                                                                told("type", "text"),
                                                                told("content", text),
                                                            ]
                                                        }
                                                    }
                                                ]
                                            }
                                        },
                                    },
                                ]
                            }
                        }
                    ]
                }
            },
        }
        for way, role, text in (("input", "user", ASKED), ("output", "assistant", SAID))
    ),
]
NUMBERED = [
    told("gen_ai.system", "x"),
    told("gen_ai.prompt.0.role", "user"),
    told("gen_ai.prompt.0.content", ASKED),
    told("gen_ai.completion.0.role", "assistant"),
    told("gen_ai.completion.0.content", SAID),
]
OPEN_INFERENCE = [
    told("openinference.span.kind", "LLM"),
    told("llm.input_messages.0.message.role", "user"),
    told("llm.input_messages.0.message.content", ASKED),
    told("llm.output_messages.0.message.role", "assistant"),
    told("llm.output_messages.0.message.content", SAID),
]
SPAN_EVENTS = (
    {"name": "gen_ai.content.prompt", "attributes": [told("gen_ai.prompt", ASKED)]},
    {"name": "gen_ai.content.completion", "attributes": [told("gen_ai.completion", SAID)]},
)
PLAIN_SPAN = {
    "name": "llm",
    "context": {"trace_id": "a" * 32, "span_id": "b" * 16},
    "span_kind": "LLM",
    "end_time": "2026-01-01T00:00:00Z",
    "attributes": {
        "llm.input_messages": [{"message.role": "user", "message.content": ASKED}],
        "llm.output_messages": [{"message.role": "assistant", "message.content": SAID}],
    },
}
EVERY = {
    "current": export(CURRENT),
    "structured": export(STRUCTURED),
    "numbered": export(NUMBERED),
    "openinference": export(OPEN_INFERENCE),
    "span events": export([told("gen_ai.operation.name", "chat")], events=SPAN_EVENTS),
    "details": log(
        "gen_ai.client.inference.operation.details",
        [*CURRENT],
    ),
    "printed span": PLAIN_SPAN,
    "prompt and reply": {"prompt": ASKED, "reply": SAID, "time": 1767225600},
    "messages": {
        "id": "x",
        "messages": [{"role": "user", "content": ASKED}, {"role": "assistant", "content": SAID}],
    },
}


@pytest.mark.parametrize("shape", EVERY)
def test_every_shape_says_the_same(shape):
    (piece,) = read_pieces(EVERY[shape])
    (one,) = conversations_of(piece)

    assert piece.whole
    assert one.messages == (Message("user", ASKED),)
    assert one.reply == SAID


def test_events_of_single_messages_are_put_together_whatever_came_first():
    body = {"kvlistValue": {"values": [told("content", ASKED)]}}
    choice = {
        "kvlistValue": {
            "values": [
                told("finish_reason", "stop"),
                {"key": "message", "value": {"kvlistValue": {"values": [told("content", SAID)]}}},
            ]
        }
    }
    exports = [log("gen_ai.choice", body=choice), log("gen_ai.user.message", body=body)]
    pieces = [piece for each in exports for piece in read_pieces(each)]
    (one,) = conversations_of(merged([*pieces, *pieces]))  # sent again by a client in trouble

    assert not any(each.whole for each in pieces)
    assert (one.messages, one.reply) == ((Message("user", ASKED),), SAID)


def test_spans_of_agents_and_tools_are_no_second_reply():
    for name, value in (
        ("gen_ai.operation.name", "invoke_agent"),
        ("gen_ai.operation.name", "execute_tool"),
        ("openinference.span.kind", "CHAIN"),
    ):
        others = [each for each in CURRENT if each["key"] != "gen_ai.operation.name"]

        assert read_pieces(export([told(name, value), *others])) == []


def test_a_span_without_content_waits_and_is_no_conversation():
    (piece,) = read_pieces(export([told("gen_ai.operation.name", "chat")]))

    assert not piece.whole
    assert conversations_of(piece)[0].reply is None


def test_metrics_and_spans_of_other_work_are_passed_over():
    assert read_pieces({"resourceMetrics": []}) == []
    assert read_pieces(export([told("http.route", "/")])) == []


@pytest.mark.parametrize("value", [[], 3, "text", {}, {"a": 1}])
def test_what_is_no_conversation_is_refused(value):
    with pytest.raises(DataError, match="expected"):
        read_pieces(value)


def test_several_choices_are_several_replies():
    said = json.dumps(
        [
            {"role": "assistant", "parts": [{"type": "text", "content": text}]}
            for text in ("one", "two")
        ]
    )
    (piece,) = read_pieces(export([*CURRENT[:2], told("gen_ai.output.messages", said)]))

    assert [each.reply for each in conversations_of(piece)] == ["one", "two"]
    assert len({each.id for each in conversations_of(piece)}) == 2


def test_calls_of_tools_are_said_and_thoughts_are_not():
    said = json.dumps(
        [
            {
                "role": "assistant",
                "parts": [
                    {"type": "reasoning", "content": "secret thought"},
                    {"type": "tool_call", "name": "mail", "arguments": {"to": "all"}},
                ],
            }
        ]
    )
    (piece,) = read_pieces(export([*CURRENT[:2], told("gen_ai.output.messages", said)]))

    assert conversations_of(piece)[0].reply == '[calls mail({"to": "all"})]'


def test_a_long_text_is_cut_and_says_so():
    (piece,) = read_pieces({"prompt": "a", "reply": "b" * (LONGEST_TEXT + 5)})
    (one,) = conversations_of(piece)

    assert one.reply is not None
    assert len(one.reply) == LONGEST_TEXT
    assert one.cut


def test_the_same_line_has_one_id_and_another_has_another():
    first, again, other = (
        conversations_of(read_pieces({"prompt": "a", "reply": text, "time": 1e9})[0])[0]
        for text in ("b", "b", "c")
    )

    assert first.id == again.id != other.id


def test_halves_of_surrogate_pairs_do_no_harm():
    (piece,) = read_pieces(json.loads('{"id": "\\ud800", "prompt": "\\udc00", "reply": "\\ud800"}'))

    conversations_of(piece)[0].id.encode()


@pytest.mark.parametrize(
    ("value", "when"),
    [
        ("1767225600000000000", 1767225600.0),
        (1767225600000, 1767225600.0),
        ("2026-01-01T00:00:00+00:00", 1767225600.0),
        (float("nan"), None),
        (-5, None),
        (True, None),
        ("99999999999999999999999999", None),
    ],
)
def test_times_are_read_in_every_unit(value, when):
    assert seconds(value) == when
