"""Keys of the wrong kind are refused in words that say what to do."""

from datetime import UTC, datetime, timedelta

import pytest

from plumbrule.errors import ConfigError
from plumbrule.evidence import read_signing_key, read_verifying_key

pytest.importorskip("cryptography", reason="signing needs plumbrule[sign]")

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def public_pem(private):
    return private.public_key().public_bytes(
        forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo
    )


def certificate(private, *, ends):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "who signs")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=90))
        .not_valid_after(ends)
        .sign(private, hashes.SHA256())
        .public_bytes(forms.Encoding.PEM)
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (public_pem(ed25519.Ed25519PrivateKey.generate()), "of the kind Ed25519"),
        (public_pem(rsa.generate_private_key(65537, 2048)), "of the kind RSA"),
        (public_pem(ec.generate_private_key(ec.SECP384R1())), "of the kind secp384r1"),
        (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 someone", "in the form of OpenSSH"),
        (b"hello", "no PEM at all"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "cannot be read"),
    ],
)
def test_a_key_of_the_wrong_kind_is_refused(tmp_path, content, said):
    path = tmp_path / "evidence.pub"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=said) as error:
        read_verifying_key(path)
    assert "openssl ec" in str(error.value)


def test_a_private_key_does_not_verify_and_a_public_one_does_not_sign(keys):
    with pytest.raises(ConfigError, match=r"got a private one, which only who signs may have"):
        read_verifying_key(keys.private)
    with pytest.raises(ConfigError, match=r"expected a private key .* got a public key"):
        read_signing_key(keys.public)


def test_a_certificate_that_holds_verifies_and_an_expired_one_does_not(tmp_path, keys):
    path = tmp_path / "who.pem"
    private = keys.signing.private
    path.write_bytes(certificate(private, ends=NOW + timedelta(days=1)))
    held = read_verifying_key(path, now=NOW)

    assert held.verifies(keys.signing.sign(b"text"), b"text")
    assert held.id == keys.verifying.id
    path.write_bytes(certificate(private, ends=NOW - timedelta(days=30)))
    with pytest.raises(ConfigError, match="this one expired on 2026-11-01"):
        read_verifying_key(path, now=NOW)


def test_a_key_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="expected a key in PEM, there is none at"):
        read_verifying_key(tmp_path / "nowhere.pub")


def test_what_was_signed_verifies_and_nothing_else(keys, stranger):
    signature = keys.signing.sign(b"text")

    assert keys.verifying.verifies(signature, b"text")
    assert not keys.verifying.verifies(signature, b"test")
    assert not stranger.verifying.verifies(signature, b"text")
    assert keys.signing.sign(b"text") == signature
