"""What other projects' verifiers say of an evidence folder; runs in their environment alone.

`python evidence_side.py FOLDER KEY` prints, a line each, a JSON object with `peer`, `file` and
`error`, which is null where the peer accepted the file.
"""

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PREDICATES = {
    "https://slsa.dev/provenance/v1": ("provenance.v1.provenance_pb2", "Provenance"),
    "https://in-toto.io/attestation/test-result/v0.1": (
        "test_result.v0.test_result_pb2",
        "TestResult",
    ),
    "https://in-toto.io/attestation/link/v0.3": ("link.v0.link_pb2", "Link"),
}
"""By type, where the project's own schema of a predicate lies."""


def envelopes(folder: Path, key: Path) -> Iterator[tuple[str, str, str | None]]:
    """Signatures of DSSE envelopes, by securesystemslib; statements, by in-toto-attestation."""
    from securesystemslib.dsse import Envelope  # type: ignore[import-not-found]
    from securesystemslib.signer import SSlibKey  # type: ignore[import-not-found]

    public = key.read_text("utf-8")
    for path in sorted([*folder.glob("statements/*.dsse.json"), folder / "folder.dsse.json"]):
        if not path.is_file():
            continue
        name = path.relative_to(folder).as_posix()

        def signed(path: Path = path) -> None:
            value = json.loads(path.read_text("utf-8"))
            keyid = value["signatures"][0]["keyid"]
            held = SSlibKey(keyid, "ecdsa", "ecdsa-sha2-nistp256", {"public": public})
            Envelope.from_dict(copy.deepcopy(value)).verify([held], 1)

        yield "securesystemslib", name, said(signed)
        yield "in-toto-attestation", name, said(lambda path=path: statement(path))


def statement(path: Path) -> None:
    """Parse a statement and its predicate by the project's own schemas."""
    import importlib

    from google.protobuf import json_format  # type: ignore[import-untyped]
    from in_toto_attestation.v1 import statement_pb2  # type: ignore[import-not-found]
    from in_toto_attestation.v1.statement import Statement  # type: ignore[import-not-found]
    from securesystemslib.dsse import Envelope

    payload = Envelope.from_dict(json.loads(path.read_text("utf-8"))).payload
    value = json_format.Parse(payload, statement_pb2.Statement())
    Statement.copy_from_pb(value).validate()
    module, name = PREDICATES[value.predicate_type]
    kind = getattr(importlib.import_module(f"in_toto_attestation.predicates.{module}"), name)
    json_format.Parse(json.dumps(json.loads(payload)["predicate"]), kind())


def models(folder: Path, key: Path) -> Iterator[tuple[str, str, str | None]]:
    """Weights against their signature, by the command of model_signing."""
    for path in sorted(folder.glob("weights/*/*.sig")):
        model = path.with_suffix("")
        command = [
            str(Path(sys.executable).parent / "model_signing"), "verify", "key", str(model),
            "--signature", str(path), "--public_key", str(key),
        ]  # fmt: skip

        def check(command: list[str] = command) -> None:
            found = subprocess.run(command, capture_output=True, text=True, check=False)
            if found.returncode:
                raise ValueError((found.stdout + found.stderr).strip()[-300:])

        yield "model-signing", path.relative_to(folder).as_posix(), said(check)


def bills(folder: Path) -> Iterator[tuple[str, str, str | None]]:
    """Bills of materials against the schema that cyclonedx-python-lib brings along."""
    from cyclonedx.schema import SchemaVersion  # type: ignore[import-not-found]
    from cyclonedx.validation.json import JsonStrictValidator  # type: ignore[import-not-found]

    for path in sorted(folder.glob("documents/*/bom.cdx.json")):

        def check(path: Path = path) -> None:
            wrong = JsonStrictValidator(SchemaVersion.V1_7).validate_str(path.read_text("utf-8"))
            if wrong is not None:
                raise ValueError(str(wrong)[:300])

        yield "cyclonedx-python-lib", path.relative_to(folder).as_posix(), said(check)


def said(check: Any) -> str | None:
    """What a peer has against a file; None where it takes it."""
    try:
        check()
    except Exception as error:  # each peer has errors of its own
        return f"{type(error).__name__}: {error}"[:300] or type(error).__name__
    return None


if __name__ == "__main__":
    place, public_key = Path(sys.argv[1]), Path(sys.argv[2])
    for rows in (envelopes(place, public_key), models(place, public_key), bills(place)):
        for peer, file, error in rows:
            print(json.dumps({"peer": peer, "file": file, "error": error}), flush=True)
