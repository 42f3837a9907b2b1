"""Scores as OpenTelemetry events: one `gen_ai.evaluation.result` a principle, as OTLP/JSON lines.

A collector's `otlpjsonfile` receiver reads such a file, and ties each event to the span that it
speaks of.
"""

import re
from collections.abc import Mapping
from typing import Any

from plumbrule.monitoring.traffic import LiveExchange
from plumbrule.store import canonical
from plumbrule.version import __version__

SCHEMA = "https://opentelemetry.io/schemas/1.41.0"
"""Version of the conventions whose names are used; `gen_ai.evaluation.result` is there since 1.38.
They have since moved to a repository of their own, under the same names."""

_TRACE, _SPAN = re.compile(r"[0-9a-fA-F]{32}"), re.compile(r"[0-9a-fA-F]{16}")


def evaluation_line(
    conversation: LiveExchange, scores: Mapping[str, tuple[str, float | None]], *, by: str
) -> str:
    """What was said of a reply, as one export of log records.

    Args:
        conversation: The reply.
        scores: Principle → verdict and probability that the principle is broken; None: not known,
            and no score is given.
        by: Who said so.
    """
    records = []
    for principle, (verdict, probability) in scores.items():
        told: dict[str, Any] = {
            "gen_ai.evaluation.name": principle,
            "gen_ai.evaluation.score.label": verdict,
        }
        if probability is not None:
            told["gen_ai.evaluation.score.value"] = float(probability)
        if conversation.response_id:
            told["gen_ai.response.id"] = conversation.response_id
        if conversation.thread:
            told["gen_ai.conversation.id"] = conversation.thread
        if verdict == "errored":
            told["error.type"] = "errored"
        told["plumbrule.conversation.id"] = conversation.id
        told["plumbrule.judge"] = by
        record: dict[str, Any] = {
            "eventName": "gen_ai.evaluation.result",
            "severityNumber": 9,
            "attributes": [_attribute(name, value) for name, value in told.items()],
        }
        if conversation.time is not None:
            record["timeUnixNano"] = str(round(conversation.time * 1e9))
        if _TRACE.fullmatch(conversation.trace_id) and _SPAN.fullmatch(conversation.span_id):
            record["traceId"] = conversation.trace_id
            record["spanId"] = conversation.span_id
        records.append(record)
    return canonical(
        {
            "resourceLogs": [
                {
                    "resource": {"attributes": [_attribute("service.name", "plumbrule")]},
                    "scopeLogs": [
                        {
                            "scope": {"name": "plumbrule.monitoring", "version": __version__},
                            "schemaUrl": SCHEMA,
                            "logRecords": records,
                        }
                    ],
                }
            ]
        }
    )


def _attribute(name: str, value: str | float) -> dict[str, Any]:
    kind = "doubleValue" if isinstance(value, float) else "stringValue"
    return {"key": name, "value": {kind: value}}
