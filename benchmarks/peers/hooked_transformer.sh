#!/bin/sh
# Makes the environment of TransformerLens 3, the last with HookedTransformer, under .cache/peers.
exec "$(dirname "$0")/environment.sh" hooked_transformer torch==2.13.0 transformers==5.23.0 transformer-lens==3.9.0
