#!/bin/sh
# LiteLLM's proxy in an environment of its own, never in the project's: it is a peer to measure, not a part.
# Usage: sh bench/peers/install_litellm.sh     (needs uv and a network; about 1 minute)
set -eu
bench=$(cd "$(dirname "$0")/.." && pwd)
uv venv --quiet --clear "$bench/build/litellm-venv"
uv pip install --quiet --python "$bench/build/litellm-venv/bin/python" 'litellm[proxy]==1.106.2'
uv pip list --quiet --python "$bench/build/litellm-venv/bin/python" | grep '^litellm '
