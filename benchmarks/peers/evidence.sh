#!/bin/sh
# Makes the environment of in-toto, model-signing and CycloneDX under .cache/peers.
set -eu
cd "$(dirname "$0")/../.."
folder=.cache/peers/evidence
test -x "$folder/bin/python" || "${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/python" -m pip install -q --disable-pip-version-check \
  model-signing==1.1.1 in-toto-attestation==0.9.3 securesystemslib==1.6.0 \
  "cyclonedx-python-lib[json-validation]==11.12.0" cryptography==50.0.2 pyopenssl==26.4.0  # model-signing imports it and does not ask for it
touch "$folder/.ready"
