#!/bin/sh
# Makes the environment of the schemas of Kubernetes and SkyPilot under .cache/peers.
set -eu
cd "$(dirname "$0")/../.."
folder=.cache/peers/scale
test -x "$folder/bin/python" || "${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/python" -m pip install -q --disable-pip-version-check kubernetes-validate==1.37.0 skypilot==0.14.1
touch "$folder/.ready"
