#!/bin/sh
# Makes the environment of the OpenTelemetry SDK under .cache/peers.
set -eu
cd "$(dirname "$0")/../.."
folder=.cache/peers/opentelemetry
test -x "$folder/bin/python" || "${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/python" -m pip install -q --disable-pip-version-check \
    opentelemetry-sdk==1.45.2 opentelemetry-exporter-otlp-json-http==0.66b1
touch "$folder/.ready"
