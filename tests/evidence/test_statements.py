"""Statements have the forms that in-toto, DSSE and model_signing read."""

import base64
import hashlib
import json

import pytest

from plumbrule.errors import DataError
from plumbrule.evidence.describing import payload_bytes
from plumbrule.evidence.statements import (
    bundle,
    encoding,
    envelope,
    model_statement,
    open_envelope,
)


def test_what_is_signed_is_what_the_specification_gives():
    # The example of the DSSE specification, with our payload's type in place of its own.
    assert encoding(b"hello world") == b"DSSEv1 28 application/vnd.in-toto+json 11 hello world"


def test_a_models_digest_is_over_the_digests_of_its_files_in_order():
    files = {"b": hashlib.sha256(b"2").hexdigest(), "a": hashlib.sha256(b"1").hexdigest()}
    made = model_statement("final", files)

    whole = hashlib.sha256(hashlib.sha256(b"1").digest() + hashlib.sha256(b"2").digest())
    assert made["subject"] == [{"name": "final", "digest": {"sha256": whole.hexdigest()}}]
    assert [each["name"] for each in made["predicate"]["resources"]] == ["a", "b"]


@pytest.mark.parametrize("wrap", [envelope, bundle])
def test_a_statement_comes_back_as_it_was_signed(wrap, keys, stranger):
    value = model_statement("final", {"a": "0" * 64})
    opened = open_envelope(wrap(payload_bytes(value), keys.signing), origin="here")

    assert opened.statement == value
    assert opened.signed_by(keys.verifying)
    assert not opened.signed_by(stranger.verifying)


def test_a_changed_payload_is_not_what_was_signed(keys):
    value = model_statement("final", {"a": "0" * 64})
    outside = json.loads(envelope(payload_bytes(value), keys.signing))
    other = model_statement("final", {"a": "1" * 64})
    outside["payload"] = base64.b64encode(payload_bytes(other)).decode()

    assert not open_envelope(json.dumps(outside), origin="here").signed_by(keys.verifying)


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 10**5, '{"payload": 1}', "null", '"x"'])
def test_what_is_no_envelope_is_refused_in_words(text):
    with pytest.raises(DataError, match="here holds no signed statement as it was written"):
        open_envelope(text, origin="here")
