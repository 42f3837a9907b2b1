#!/bin/sh
# `make dist`: wheel, sdist, the bill of materials of an environment with this wheel alone, and their sums, in dist/.
set -eu
cd "$(dirname "$0")/.."
tools=.cache/dist/tools
fresh=.cache/dist/fresh
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)  # the same commit gives the same bytes
export SOURCE_DATE_EPOCH

test -x "$tools/bin/python" || "${PYTHON:-python3}" -m venv "$tools"
"$tools/bin/python" -m pip install -q --disable-pip-version-check build==1.6.1 cyclonedx-bom==7.5.0
rm -rf dist "$fresh"
"$tools/bin/python" -m build --outdir dist

"${PYTHON:-python3}" -m venv "$fresh"
"$fresh/bin/python" -m pip install -q --disable-pip-version-check --constraint requirements.lock dist/*.whl
"$fresh/bin/python" -m pip uninstall -q -y pip setuptools 2>/dev/null || true  # no part of what is described
version=$("$fresh/bin/python" -c 'from plumbrule.version import __version__; print(__version__)')
"$tools/bin/cyclonedx-py" environment --pyproject pyproject.toml --output-reproducible --spec-version 1.7 \
  --output-file "dist/plumbrule-$version.cdx.json" "$fresh/bin/python"
(cd dist && sha256sum -- * > SHA256SUMS)
cat dist/SHA256SUMS
