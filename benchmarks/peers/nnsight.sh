#!/bin/sh
# Makes the environment of nnsight under .cache/peers.
exec "$(dirname "$0")/environment.sh" nnsight torch==2.13.0 transformers==5.23.0 nnsight==0.8.1
