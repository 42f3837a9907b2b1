#!/bin/sh
# Makes the environment of sparsify (on PyPI: eai-sparsify) under .cache/peers.
exec "$(dirname "$0")/environment.sh" sparsify torch==2.13.0 eai-sparsify==1.3.3
