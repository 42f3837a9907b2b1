"""What an outsider can check: one folder with statements, ledgers and samples, verified offline.

`export_evidence` puts a finished run together with what its claims rest on and signs it;
`verify_evidence` makes every decision again from the samples and holds every hash and signature
against the others, without a model or a network.
"""

from plumbrule.evidence.documents import documents, write_document
from plumbrule.evidence.exporting import export_evidence
from plumbrule.evidence.folder import Evidence
from plumbrule.evidence.keys import (
    SigningKey,
    VerifyingKey,
    read_signing_key,
    read_verifying_key,
)
from plumbrule.evidence.verifying import EvidenceVerification, read_evidence, verify_evidence

__all__ = [
    "Evidence",
    "EvidenceVerification",
    "SigningKey",
    "VerifyingKey",
    "documents",
    "export_evidence",
    "read_evidence",
    "read_signing_key",
    "read_verifying_key",
    "verify_evidence",
    "write_document",
]
