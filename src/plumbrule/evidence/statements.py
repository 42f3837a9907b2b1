"""In-toto statements in DSSE envelopes: who says what of which files, and the signature over it.

Source:
    in-toto Attestation Framework v1; DSSE 1.0.2, "pre-authentication encoding"; the layout of
    `model_signing` 1.1 (a Sigstore bundle around the same envelope).
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plumbrule.errors import DataError
from plumbrule.evidence.keys import SigningKey, VerifyingKey
from plumbrule.store import canonical

STATEMENT = "https://in-toto.io/Statement/v1"
PAYLOAD = "application/vnd.in-toto+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"

PROVENANCE = "https://slsa.dev/provenance/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
LINK = "https://in-toto.io/attestation/link/v0.3"
MODEL_SIGNATURE = "https://model_signing/signature/v1.0"

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Opened:
    """An envelope as it was read."""

    payload: bytes
    """What was signed."""

    statement: Json

    signatures: tuple[bytes, ...]

    def signed_by(self, key: VerifyingKey) -> bool:
        """Whether a key made one of its signatures."""
        message = encoding(self.payload)
        return any(key.verifies(each, message) for each in self.signatures)


def subjects(files: Mapping[str, str]) -> list[Json]:
    """The files that a statement is about, in the form of in-toto, in order.

    Args:
        files: SHA-256 in hexadecimal by name.
    """
    return [{"name": name, "digest": {"sha256": files[name]}} for name in sorted(files)]


def statement(files: Mapping[str, str], kind: str, predicate: Mapping[str, Any]) -> Json:
    """A claim about files.

    Args:
        files: SHA-256 in hexadecimal by name: what is spoken of.
        kind: Type of the predicate, a URI.
        predicate: What is said.
    """
    return {
        "_type": STATEMENT,
        "subject": subjects(files),
        "predicateType": kind,
        "predicate": dict(predicate),
    }


def model_statement(name: str, files: Mapping[str, str]) -> Json:
    """The manifest of a model's folder, as `model_signing` writes and reads it.

    Args:
        name: Of the folder.
        files: SHA-256 in hexadecimal of each of its files, by path.
    """
    root = hashlib.sha256(b"".join(bytes.fromhex(files[path]) for path in sorted(files)))
    return statement(
        {name: root.hexdigest()},
        MODEL_SIGNATURE,
        {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": ["model.sig"],
            },
            "resources": [
                {"name": path, "algorithm": "sha256", "digest": files[path]}
                for path in sorted(files)
            ],
        },
    )


def encoding(payload: bytes) -> bytes:
    """What is signed: type and length before the bytes, so that neither can be argued about.

    Example:
        >>> encoding(b"hello")[:40]
        b'DSSEv1 28 application/vnd.in-toto+json 5'
    """
    return f"DSSEv1 {len(PAYLOAD)} {PAYLOAD} {len(payload)} ".encode() + payload


def envelope(payload: bytes, key: SigningKey | None) -> str:
    """A statement in its envelope, signed where there is a key."""
    return canonical(_envelope(payload, key)) + "\n"


def bundle(payload: bytes, key: SigningKey | None) -> str:
    """The same as `model_signing` keeps it: a Sigstore bundle."""
    hint = {} if key is None else {"hint": key.verifying.id}
    return (
        canonical(
            {
                "mediaType": BUNDLE,
                "verificationMaterial": {"publicKey": hint, "tlogEntries": []},
                "dsseEnvelope": _envelope(payload, key, named=False),
            }
        )
        + "\n"
    )


def _envelope(payload: bytes, key: SigningKey | None, *, named: bool = True) -> Json:
    signatures: Sequence[Json] = ()
    if key is not None:
        made = base64.b64encode(key.sign(encoding(payload))).decode()
        signatures = [{"keyid": key.verifying.id if named else "", "sig": made}]
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD,
        "signatures": list(signatures),
    }


def open_envelope(text: str, *, origin: str) -> Opened:
    """Read an envelope, or a bundle around one; nothing of it is believed yet.

    Raises:
        DataError: It is none.
    """
    try:
        value = json.loads(text)
        if "dsseEnvelope" in value:
            if value["mediaType"] != BUNDLE:
                raise ValueError("it is a bundle of another version")
            value = value["dsseEnvelope"]
        if value["payloadType"] != PAYLOAD:
            raise ValueError("its payload is no in-toto statement")
        payload = base64.b64decode(value["payload"], validate=True)
        found = json.loads(payload)
        signatures = [base64.b64decode(each["sig"], validate=True) for each in value["signatures"]]
        if found["_type"] != STATEMENT or not isinstance(found["predicate"], dict):
            raise ValueError("it holds no in-toto statement of version 1")
        if not all(isinstance(each["digest"], dict) for each in found["subject"]):
            raise ValueError("one of its subjects has no digest")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        said = str(error) if type(error) is ValueError else "a part is missing or of another form"
        raise DataError(f"{origin} holds no signed statement as it was written: {said}") from error
    return Opened(payload=payload, statement=found, signatures=tuple(signatures))
