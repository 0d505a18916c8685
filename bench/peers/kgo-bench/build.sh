#!/usr/bin/env bash
# Build kgo-bench and kgo-cat into $PEERS_DIR/bin.
set -euo pipefail
PEERS_DIR=${PEERS_DIR:-$HOME/.peers}; cd "$(dirname "$0")"
mkdir -p "$PEERS_DIR/bin"
go build -o "$PEERS_DIR/bin/kgo-bench" .
go build -o "$PEERS_DIR/bin/kgo-cat" ./cat
