"""One small finished run, its evidence, and keys; made once."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from plumbrule.evidence import SigningKey, VerifyingKey, export_evidence
from plumbrule.lab import village_prompts
from plumbrule.loop import align
from plumbrule.models import Sampling
from plumbrule.recipes import village, village_oracle
from plumbrule.training import Revising, SupervisedTraining

CONFIG = replace(
    village(model="lab:nano").config,
    name="A small run",
    critic="lab:small",
    judge="lab:small",
    shard_size=32,
    candidates=2,
    examine_between=False,
    least_margin=0.0,
    teach_anyway=True,
    revising=Revising(rounds=1),
    sampling=Sampling(temperature=0.3, max_new_tokens=12),
    supervised=SupervisedTraining(learning_rate=1e-3, epochs=2, batch_size=16, max_tokens=512),
)


@dataclass(frozen=True)
class Keys:
    """A pair of keys, as objects and as PEM files."""

    signing: SigningKey
    verifying: VerifyingKey
    private: Path
    public: Path


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "small"
    prompts = village_prompts(
        tempting=3, honesty=1, deserving=1, examined_tempting=1, examined_deserving=1
    )
    align(CONFIG, prompts=prompts, out=out, oracle=village_oracle, command="plumbrule run")
    return out


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    pytest.importorskip("cryptography", reason="signing needs plumbrule[sign]")
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("keys")
    private = ec.derive_private_key(7, ec.SECP256R1())
    pem = private.private_bytes(
        forms.Encoding.PEM, forms.PrivateFormat.TraditionalOpenSSL, forms.NoEncryption()
    )
    (folder / "evidence.key").write_bytes(pem)
    signing = SigningKey(private)
    (folder / "evidence.pub").write_bytes(signing.verifying.pem)
    return Keys(signing, signing.verifying, folder / "evidence.key", folder / "evidence.pub")


@pytest.fixture(scope="session")
def stranger():
    pytest.importorskip("cryptography", reason="signing needs plumbrule[sign]")
    from cryptography.hazmat.primitives.asymmetric import ec

    return SigningKey(ec.derive_private_key(99, ec.SECP256R1()))


@pytest.fixture(scope="session")
def plain(finished, tmp_path_factory):
    """Evidence without a signature."""
    out = tmp_path_factory.mktemp("plain") / "evidence"
    export_evidence([finished], out)
    return out


@pytest.fixture(scope="session")
def signed(finished, keys, tmp_path_factory):
    """Evidence with every statement signed, and the weights beside it."""
    out = tmp_path_factory.mktemp("signed") / "evidence"
    export_evidence([finished], out, key=keys.signing, weights=True)
    return out


@pytest.fixture
def copied(tmp_path):
    """Copies a folder to where it may be changed."""
    return lambda folder: Path(shutil.copytree(folder, tmp_path / "copy", symlinks=True))
