#!/bin/sh
# Makes the environment of SAELens under .cache/peers.
exec "$(dirname "$0")/environment.sh" sae_lens torch==2.13.0 sae-lens==6.54.12
