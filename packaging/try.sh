#!/bin/sh
# Installs a wheel into a fresh environment outside the checkout and makes a first report, as a newcomer does.
# `sh packaging/try.sh [FILE.whl]`; PYTHON chooses the interpreter.
set -eu
wheel=$(realpath "${1:-$(ls "$(dirname "$0")"/../dist/*.whl)}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv fresh
started=$(date +%s)
fresh/bin/pip install -q --disable-pip-version-check "$wheel"
installed=$(date +%s)
fresh/bin/plumbrule run --out runs/village > run.out 2> run.err || { cat run.err run.out; exit 1; }
ended=$(date +%s)
test -s runs/village/report/index.html
fresh/bin/plumbrule ledger verify runs/village
echo "$("${PYTHON:-python3}" --version): installed in $((installed - started)) s, first report after $((ended - installed)) s more"
