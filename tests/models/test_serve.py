"""A real server, not of our making: the model library's own, on the loopback."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.models.fault_server import FaultServer
from tests.models.tiny import QUESTIONS

from plumbrule.models import EndpointModel, EndpointSettings, LocalModel, Sampling, open_model

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("fastapi", "uvicorn", "openai")),
    reason="needs the serving extra: pip install transformers[serving]",
)
GREEDY = Sampling(temperature=0.0, max_new_tokens=12)
SEEDS = [1, 2, 3, 4, 5]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="module")
def served(folder, tmp_path_factory):
    """Address of a server of the tiny model, stopped by its own number when the tests are over."""
    port, log = free_port(), tmp_path_factory.mktemp("serve") / "log"
    command = Path(sys.executable).with_name("transformers")
    with log.open("wb") as output:
        server = subprocess.Popen(
            [
                command,
                "serve",
                folder,
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--device",
                "cpu",
            ],
            stdout=output,
            stderr=output,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        )
    try:
        deadline = time.monotonic() + 120
        while not answers(f"http://127.0.0.1:{port}/health"):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def test_the_server_says_what_the_weights_say(served, folder):
    far, near = open_model(f"{served}#{folder}"), open_model(str(folder))
    assert isinstance(far, EndpointModel)
    assert isinstance(near, LocalModel)

    theirs = far.sample(QUESTIONS, sampling=GREEDY, seeds=SEEDS)
    ours = near.sample(QUESTIONS, sampling=GREEDY, seeds=SEEDS)

    assert [one.text for one in theirs] == [one.text for one in ours]
    assert [one.tokens for one in theirs] == [one.tokens for one in ours]
    assert far.usage.calls == len(QUESTIONS)


def test_it_gives_no_log_probabilities_and_the_choice_says_so(served, folder):
    far = open_model(f"{served}#{folder}", endpoint=EndpointSettings(choose_samples=4))

    choices = far.choose(QUESTIONS[:2], ["A", "B"], seeds=SEEDS[:2])

    assert {choice.method for choice in choices} == {"sampling"}
    assert far.describe()["log_probs"].startswith("not given")
    assert all(0 <= choice.covered <= 1 for choice in choices)
    assert all((choice.probabilities is None) == bool(choice.reason) for choice in choices)


def test_faults_on_the_way_change_nothing_but_the_number_of_tries(served, folder, tmp_path):
    script = ["status=503", "cut", "garbage", "busy=0", 'json={"choices": []}', "status=500"]
    settings = EndpointSettings(backoff_seconds=0.01, timeout_seconds=30.0)
    direct = open_model(f"{served}#{folder}").sample(QUESTIONS, sampling=GREEDY, seeds=SEEDS)

    with FaultServer(script, upstream=served) as server:
        model = open_model(f"{server.url}#{folder}", cache=tmp_path / "a", endpoint=settings)
        found = model.sample(QUESTIONS, sampling=GREEDY, seeds=SEEDS)
        again = open_model(f"{server.url}#{folder}", cache=tmp_path / "a", endpoint=settings)
        kept = again.sample(QUESTIONS, sampling=GREEDY, seeds=SEEDS)

    assert found == kept == direct
    assert server.answered == model.usage.calls == len(QUESTIONS)
    assert again.usage.calls == 0
    assert len(server.bodies) == len(script) + len(QUESTIONS)
