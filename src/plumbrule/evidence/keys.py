"""The key that signs evidence: ECDSA over P-256, read from PEM, with `cryptography` imported late.

One kind of key and no other, because it is the kind that every verifier of the field takes:
`model_signing`, securesystemslib, cosign, OpenSSL.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumbrule.errors import ConfigError
from plumbrule.files import read_small_text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

HOW = (
    "`openssl ecparam -name prime256v1 -genkey -noout -out evidence.key` makes one, and "
    "`openssl ec -in evidence.key -pubout -out evidence.pub` its public half"
)
"""How to come by a key of the right kind."""


@dataclass(frozen=True)
class VerifyingKey:
    """The public half: what a verifier holds."""

    public: "ec.EllipticCurvePublicKey"

    @property
    def id(self) -> str:
        """SHA-256 of its PEM form, in hexadecimal, which is how `model_signing` names a key."""
        return hashlib.sha256(self.pem).hexdigest()

    @property
    def pem(self) -> bytes:
        """Its SubjectPublicKeyInfo as PEM."""
        from cryptography.hazmat.primitives import serialization as forms

        pem: bytes = self.public.public_bytes(
            forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo
        )
        return pem

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether the private half signed a message."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            self.public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class SigningKey:
    """The private half: what whoever exports holds."""

    private: "ec.EllipticCurvePrivateKey"

    @property
    def verifying(self) -> VerifyingKey:
        """Its public half."""
        return VerifyingKey(self.private.public_key())

    def sign(self, message: bytes) -> bytes:
        """An ECDSA signature in DER; the same for the same message, where OpenSSL can do that."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            how = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
            made: bytes = self.private.sign(message, how)
        except UnsupportedAlgorithm:  # RFC 6979 needs OpenSSL 3.2
            made = self.private.sign(message, ec.ECDSA(hashes.SHA256()))
        return made


def read_signing_key(path: Path) -> SigningKey:
    """Read a private key.

    Args:
        path: A PEM file without a password.

    Raises:
        ConfigError: It is none, or of another kind, or `cryptography` is not installed.
    """
    text = _pem(path)
    if "PRIVATE KEY" not in text:
        raise ConfigError(
            f"expected a private key in {path}, to sign with, got {_called(text)}; {HOW}"
        )
    key = _loaded(path, text, lambda load, data: load.load_pem_private_key(data, password=None))
    return SigningKey(_of_curve(path, key, "EllipticCurvePrivateKey"))


def read_verifying_key(path: Path, *, now: datetime | None = None) -> VerifyingKey:
    """Read a public key, or the one that a certificate holds.

    Args:
        path: A PEM file.
        now: The moment at which a certificate must hold; None: the present.

    Raises:
        ConfigError: It is none, of another kind, a private key, or an expired certificate; or
            `cryptography` is not installed.
    """
    text = _pem(path)
    if "PRIVATE KEY" in text:
        raise ConfigError(
            f"expected a public key in {path}, got a private one, which only who signs may have; "
            f"`openssl ec -in {path} -pubout -out evidence.pub` writes its public half"
        )
    if "BEGIN CERTIFICATE" in text:
        return VerifyingKey(_certified(path, text, now or datetime.now(UTC)))
    if "BEGIN PUBLIC KEY" not in text:
        raise ConfigError(f"expected a public key in {path}, got {_called(text)}; {HOW}")
    key = _loaded(path, text, lambda load, data: load.load_pem_public_key(data))
    return VerifyingKey(_of_curve(path, key, "EllipticCurvePublicKey"))


def _certified(path: Path, text: str, now: datetime) -> Any:
    def load(_: Any, data: bytes) -> Any:
        from cryptography import x509

        return x509.load_pem_x509_certificate(data)

    certificate = _loaded(path, text, load)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begins <= now <= ends:
        said = f"expired on {ends:%Y-%m-%d}" if now > ends else f"holds from {begins:%Y-%m-%d} on"
        raise ConfigError(
            f"expected a certificate that holds today in {path}, this one {said}. Nothing here "
            "says when a signature was made, so none can be taken by it. Ask who signed for a "
            "certificate that holds, or give the public key itself if you have it from a place "
            f"that you trust: `openssl x509 -in {path} -pubkey -noout -out evidence.pub`"
        )
    return _of_curve(path, certificate.public_key(), "EllipticCurvePublicKey")


def _of_curve(path: Path, key: Any, kind: str) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    curve = getattr(getattr(key, "curve", None), "name", None)
    if not isinstance(key, getattr(ec, kind)) or curve != "secp256r1":
        what = type(key).__name__.replace("PublicKey", "").replace("PrivateKey", "").strip("_")
        raise ConfigError(
            f"expected a key of the curve P-256 in {path}, got one of the kind "
            f"{curve or what}, which `model_signing` or other verifiers would not take; {HOW}"
        )
    return key


def _pem(path: Path) -> str:
    return read_small_text(path, "a key in PEM", most=1 << 16)


def _called(text: str) -> str:
    """What a file seems to be."""
    first = text.lstrip().split("\n", 1)[0].strip()
    if first.startswith(("ssh-", "ecdsa-sha2")):
        return "a key in the form of OpenSSH, not PEM"
    if first.startswith("-----BEGIN "):
        return f"a {first.strip('- ').removeprefix('BEGIN ').lower()}"
    return "no PEM at all"


def _loaded(path: Path, text: str, load: Callable[[Any, bytes], Any]) -> Any:
    serialization = _cryptography()
    try:
        return load(serialization, text.encode())
    except Exception as error:  # what the library raises depends on the kind of damage
        raise ConfigError(
            f"expected a key without a password in {path}, it cannot be read: "
            f"{' '.join(str(error).split())[:200]}; {HOW}"
        ) from error


def _cryptography() -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise ConfigError(
            "signing and checking signatures need the package `cryptography`: "
            "`pip install 'plumbrule[sign]'`. Without --key the same is done and no signature "
            "made or checked, which is said"
        ) from error
    return serialization
