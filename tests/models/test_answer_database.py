"""Paid answers, in a file and on a server: never paid twice, never lost, also when it restarts."""

import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.models.fault_server import FaultServer
from tests.models.test_endpoint import PRICED, model_on, say
from tests.people.conftest import postgres

from plumbrule.errors import ConfigError, StorageError
from plumbrule.folders import ANSWERS, paid_answers
from plumbrule.models import EndpointModel, EndpointSettings, answer_database

__all__ = ["postgres"]  # a fixture


@pytest.fixture(params=["file", "server"])
def place(request, tmp_path):
    if request.param == "file":
        return tmp_path / "answers"
    return request.getfixturevalue("postgres").fresh()


def test_a_paid_answer_is_never_paid_again_and_counts_against_the_budget(place):
    with FaultServer() as server:
        first = say(model_on(server, place, **PRICED), "a", "b", "c")
        again = model_on(server, place, **PRICED)
        second = say(again, "a", "b", "c", "d")
        spent = model_on(server, place, **PRICED)._answers.spent()

    assert second[:3] == first
    assert (again.usage.calls, len(server.bodies)) == (1, 4)
    assert spent[0] == 4
    assert spent[1] > 0


def test_a_call_that_failed_is_charged_all_the_same(place):
    model = EndpointModel("http://127.0.0.1:9/v1", "m", cache=place)
    with model._answers.charging(bill(0.25, charged=True)):
        pass
    with model._answers.charging(bill(0.5, charged=False)):
        pass

    assert model._answers.spent() == (1, 0.25)


def bill(dollars, *, charged):
    from plumbrule.models.budget import Bill

    made = Bill(dollars=dollars)
    made.charged = charged
    return made


def test_two_processes_that_begin_at_once_share_one_database(postgres):
    url = postgres.fresh()
    program = f"from plumbrule.models.answer_database import *; AnswerDatabase({url!r})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    begun = [subprocess.Popen([sys.executable, "-c", program], env=environment) for _ in range(3)]

    assert [each.wait(60) for each in begun] == [0, 0, 0]


def test_a_server_that_restarts_loses_no_answer_and_none_is_paid_twice(postgres):
    url, over = postgres.fresh(), threading.Event()

    def restart():
        for _ in range(2):
            over.wait(0.1)
            postgres.stop()
            postgres.start()
        over.set()

    asked = [f"q{n}" for n in range(40)]
    with FaultServer(delay_seconds=0.02) as server:
        thread = threading.Thread(target=restart)
        thread.start()
        model = model_on(server, url, max_concurrent=2)
        found = say(model, *asked)
        thread.join()
        again = say(model_on(server, url), *asked)

    assert over.is_set()
    assert again == found
    assert len(server.bodies) == len(asked)


def test_a_server_that_stays_away_is_named_without_its_password(monkeypatch):
    monkeypatch.setattr(answer_database, "WAIT_SECONDS", 0.0)
    pytest.importorskip("psycopg", reason="PostgreSQL needs plumbrule[postgres]")
    with pytest.raises(StorageError, match=r"PostgreSQL at 127\.0\.0\.1/name") as found:
        EndpointModel(
            "http://127.0.0.1:9/v1", "m", cache="postgresql://ann:geheim@127.0.0.1:9/name"
        )

    assert "geheim" not in str(found.value)


@pytest.mark.parametrize("url", ["mysql://host/name", "://", "postgresql+x://host/name"])
def test_other_addresses_are_refused(url):
    with pytest.raises(ConfigError, match="postgresql://user@host/name"):
        answer_database.AnswerDatabase(url)


def test_the_environment_names_the_place(monkeypatch, tmp_path):
    monkeypatch.delenv(ANSWERS, raising=False)
    assert paid_answers(tmp_path / "run") == Path(tmp_path / ".run.calls.db")
    monkeypatch.setenv(ANSWERS, "postgresql://host/name")
    assert paid_answers(tmp_path / "run") == "postgresql://host/name"


def test_an_endpoint_in_another_process_has_the_same_answers_and_its_own_key(tmp_path, monkeypatch):
    with FaultServer() as server:
        here = model_on(server, tmp_path / "answers")
        first = say(here, "a")
        monkeypatch.setenv("PLUMBRULE_ENDPOINT_KEY", "sk-of-the-worker")
        sent = pickle.dumps(here)
        there = pickle.loads(sent)

        assert b"secret" not in sent
        assert (say(there, "a"), there.usage.calls) == (first, 0)
        assert there.identity == here.identity
        assert there.settings == EndpointSettings(**vars(here.settings))
