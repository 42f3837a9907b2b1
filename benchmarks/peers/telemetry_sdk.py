"""A client with the OpenTelemetry SDK: `python telemetry_sdk.py ADDRESS CONVERSATIONS [CHECK]`.

Sends conversations in every shape that instrumentations have used, and prints the ids of their
spans. With a third argument it reads that file of OTLP/JSON lines with the SDK's own reader and
prints how many evaluation events each span has. Runs in `.cache/peers/opentelemetry`.
"""

import json
import sys
from importlib import import_module
from typing import Any

SHAPES = ("current", "details", "messages", "span events", "numbered", "openinference")


def send(address: str, number: int) -> None:
    """Send conversations and print their ids, shapes and whether a word is in the reply."""

    def of(module: str, name: str) -> Any:  # this environment has them, others do not
        return getattr(import_module(f"opentelemetry.{module}"), name)

    LogRecord, severity = of("_logs", "LogRecord"), of("_logs", "SeverityNumber")
    exporters = "exporter.otlp.json.http"
    spans_to = of(f"{exporters}.trace_exporter", "OTLPSpanExporter")(
        endpoint=f"{address}/v1/traces"
    )
    logs_to = of(f"{exporters}._log_exporter", "OTLPLogExporter")(endpoint=f"{address}/v1/logs")
    tracers, loggers = of("sdk.trace", "TracerProvider")(), of("sdk._logs", "LoggerProvider")()
    span_batches = of("sdk.trace.export", "BatchSpanProcessor")
    log_batches = of("sdk._logs.export", "BatchLogRecordProcessor")
    tracers.add_span_processor(span_batches(spans_to, max_queue_size=100_000))
    loggers.add_log_record_processor(log_batches(logs_to, max_queue_size=100_000))
    tracer, logger = tracers.get_tracer("client"), loggers.get_logger("client")

    def emit(name: str, attributes: dict[str, str], body: object = None) -> None:
        logger.emit(
            LogRecord(
                event_name=name,
                attributes=attributes,
                body=body,
                severity_number=severity.INFO,
            )
        )

    def parts(role: str, text: str) -> str:
        return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])

    sent = []
    for place in range(number):
        shape = SHAPES[place % len(SHAPES)]
        asked = f"Question {place}: how far is it to the mill?"
        said = f"Answer {place}: a mile." + (" You fool." if place % 10 == 0 else "")
        with tracer.start_as_current_span("chat village") as span:
            if shape != "openinference":
                span.set_attribute("gen_ai.operation.name", "chat")
                span.set_attribute("gen_ai.request.model", "village")
            if shape == "current":
                span.set_attribute("gen_ai.input.messages", parts("user", asked))
                span.set_attribute("gen_ai.output.messages", parts("assistant", said))
            elif shape == "details":
                emit(
                    "gen_ai.client.inference.operation.details",
                    {
                        "gen_ai.operation.name": "chat",
                        "gen_ai.input.messages": parts("user", asked),
                        "gen_ai.output.messages": parts("assistant", said),
                    },
                )
            elif shape == "messages":
                emit("gen_ai.user.message", {"gen_ai.system": "x"}, {"content": asked})
                choice = {"index": 0, "finish_reason": "stop", "message": {"content": said}}
                emit("gen_ai.choice", {"gen_ai.system": "x"}, choice)
            elif shape == "span events":
                span.add_event("gen_ai.content.prompt", {"gen_ai.prompt": asked})
                span.add_event("gen_ai.content.completion", {"gen_ai.completion": said})
            elif shape == "numbered":
                span.set_attribute("gen_ai.prompt.0.role", "user")
                span.set_attribute("gen_ai.prompt.0.content", asked)
                span.set_attribute("gen_ai.completion.0.content", said)
            else:
                span.set_attribute("openinference.span.kind", "LLM")
                span.set_attribute("llm.input_messages.0.message.role", "user")
                span.set_attribute("llm.input_messages.0.message.content", asked)
                span.set_attribute("llm.output_messages.0.message.role", "assistant")
                span.set_attribute("llm.output_messages.0.message.content", said)
            context = span.get_span_context()
            name = f"{context.trace_id:032x}/{context.span_id:016x}"
        sent.append({"id": name, "shape": shape, "asked": asked, "said": said})
    tracers.shutdown()
    loggers.shutdown()
    print(json.dumps(sent))


def check(path: str) -> None:
    """Read evaluation events with the SDK's own classes, and count them by span."""
    service = import_module("opentelemetry.proto_json.collector.logs.v1.logs_service")
    found: dict[str, int] = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            request = service.ExportLogsServiceRequest.from_json(line)
            for resource in request.resource_logs:
                for scope in resource.scope_logs:
                    for record in scope.log_records:
                        assert record.event_name == "gen_ai.evaluation.result", record.event_name
                        name = f"{record.trace_id.hex()}/{record.span_id.hex()}"
                        found[name] = found.get(name, 0) + 1
    print(json.dumps(found))


if __name__ == "__main__":
    if len(sys.argv) > 3:
        check(sys.argv[3])
    else:
        send(sys.argv[1], int(sys.argv[2]))
