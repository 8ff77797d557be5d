#!/usr/bin/env bash
# usage: scripts/test.sh [--fast]
#
# Make the environment (.venv, reused while it is up to date), then lint, check the types and run the tests:
# the fast tier and, without --fast, the slow one (every experiment in its --quick form) and the ledger of all that.
# PYTHON=python3.12 chooses the interpreter; .ci/matrix does this with all of them.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

fast=
case "${1:-}" in
    "") ;;
    -h | --help) show_help; exit 0 ;;
    --fast) fast=1 ;;
    *) fail "unknown option '$1'; the only one is --fast" ;;
esac

use_env all
cd "$ROOT"
python -m ruff check .
python -m ruff format --check .
find bioplastic -name '*.py' -exec python -m numpydoc lint {} +
python -m mypy
python -m pytest -n 2
if [ -z "$fast" ]; then
    runs=$(mktemp -d)
    trap 'rm -rf "$runs"' EXIT
    BIOPLASTIC_QUICK_RUNS=$runs python -m pytest -n 2 -m slow
    scripts/run_all.sh --quick --out "$runs"  # all that is left to do is the ledger
fi
