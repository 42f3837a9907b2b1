#!/bin/sh
# environment.sh NAME TORCH PACKAGE...: a virtual environment .cache/peers/NAME with pinned packages.
# torch goes first, so that no other package chooses its build; PYTHON=python3.x chooses the Python.
set -eu
cd "$(dirname "$0")/../.."
folder=.cache/peers/$1
torch=$2
shift 2
test -x "$folder/bin/python" || "${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/python" -m pip install -q --disable-pip-version-check "$torch"
"$folder/bin/python" -m pip install -q --disable-pip-version-check "$torch" "$@"
touch "$folder/.ready"
