"""A real client: spans by the OpenTelemetry SDK over HTTP to a watch, and its scores back."""

import gzip
import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.rows import Row, single
from plumbrule.constitution import Constitution, Principle
from plumbrule.monitoring import LiveExchange, Ruling, TrafficMonitor, WatchSettings

ENVIRONMENT = Path(__file__).parent.parent / ".cache" / "peers" / "opentelemetry"
PROGRAM = Path(__file__).parent / "peers" / "telemetry_sdk.py"
LAW = Constitution(
    name="client",
    version="1",
    principles=(Principle(id="no-fools", text="Insult nobody.", tier=0, words=("fool",)),),
)


@contextmanager
def receiver(folder: Path) -> Iterator[str]:
    """A small OTLP/HTTP receiver that appends what it gets to files; yields its address.

    It answers every fourth request with 503 after it has stored it, as a collector in trouble may:
    the client sends such a request again, so it arrives twice.
    """
    lock = threading.Lock()
    taken = [0]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                data = gzip.decompress(data)
            with lock:
                taken[0] += 1
                trouble = taken[0] % 4 == 0
                name = self.path.rsplit("/", 1)[-1]
                with (folder / f"{name}.jsonl").open("ab") as file:
                    file.write(json.dumps(json.loads(data)).encode() + b"\n")
            self.send_response(503 if trouble else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *told: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def rule(conversations: Sequence[LiveExchange]) -> list[dict[str, Ruling]]:
    """A judge that is always right here."""
    return [
        {"no-fools": Ruling(verdict="fail" if "fool" in (one.reply or "") else "pass")}
        for one in conversations
    ]


def client_rows(quick: bool) -> list[Row]:
    """Every conversation that the SDK sent, read once; every score back at its span."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        print("the client is left out: make its environment with benchmarks/peers/opentelemetry.sh")
        return []
    number = 600 if quick else 6_000
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "spans"
        folder.mkdir()
        with receiver(folder) as address:
            done = subprocess.run(
                [python, PROGRAM, address, str(number)], capture_output=True, text=True, check=True
            )
        sent = json.loads(done.stdout)
        texts = {each["id"]: (each["asked"], each["said"]) for each in sent}
        right = [0]

        def checked(conversations: Sequence[LiveExchange]) -> list[dict[str, Ruling]]:
            for one in conversations:
                asked = one.messages[0].content if one.messages else ""
                right[0] += texts.get(one.id) == (asked, one.reply)
            return rule(conversations)

        with TrafficMonitor(
            Path(place) / "watch",
            LAW,
            settings=WatchSettings(baseline=10**9, anchors=0),
            screen=lambda one: frozenset(),
            judge=checked,
            judge_name="known",
        ) as monitor:
            monitor.read(folder)
            counts = monitor.counts
            flagged = monitor.watched["no-fools"].flagged
        done = subprocess.run(
            [python, PROGRAM, "", "0", str(Path(place) / "watch" / "evaluations.jsonl")],
            capture_output=True,
            text=True,
            check=True,
        )
        events = json.loads(done.stdout)
    scored = sum(events.get(each["id"]) == 1 for each in sent)
    broken = sum("fool" in each["said"] for each in sent)
    return [
        single(
            "conversations sent by the OpenTelemetry SDK in six shapes: read once, with their text",
            right[0], unit="conversations", n=number, target="all", seeds=[0],
            met=right[0] == number == counts["conversations"] and flagged == broken,
        ),
        single(
            "the same: events read back by the SDK's own reader, one at each span", scored,
            unit="events", n=number, target="all", met=scored == number == len(events), seeds=[0],
        ),
        single(
            "pieces that came twice, because the receiver answered 503 after storing them",
            counts["twice"], unit="replies", n=number, seeds=[0],
        ),
    ]  # fmt: skip
