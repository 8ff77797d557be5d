#!/usr/bin/env bash
# usage: scripts/demo.sh [--quick | --full] [any other option of scripts/reach_vs_frequency.py]
#
# Make the environment (.venv, reused while it is up to date) and run the main job: how many hops upstream
# a rare event reaches, in spikes and in backprop. PYTHON=python3.12 chooses the interpreter.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

case "${1:-}" in -h | --help) show_help; exit 0 ;; esac

use_env twin
cd "$ROOT"
exec python scripts/reach_vs_frequency.py "$@"
