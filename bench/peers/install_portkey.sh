#!/bin/sh
# Portkey's gateway by npm, in a folder of its own.
# Usage: sh bench/peers/install_portkey.sh     (needs Node 18 or newer, npm and a network; about 1 minute)
set -eu
bench=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$bench/build/portkey"
npm install --silent --no-fund --no-audit --ignore-scripts --prefix "$bench/build/portkey" '@portkey-ai/gateway@1.15.2'
python3 "$bench/peers/patch_portkey.py" "$bench/build/portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
