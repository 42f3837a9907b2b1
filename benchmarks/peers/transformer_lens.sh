#!/bin/sh
# Makes the environment of TransformerLens 4 (TransformerBridge) under .cache/peers.
exec "$(dirname "$0")/environment.sh" transformer_lens torch==2.13.0 transformers==5.23.0 transformer-lens==4.3.0
