#!/usr/bin/env bash
# usage: scripts/run_all.sh [--quick] [--out FOLDER]
#
# Make every recording that the ledger of claims reads, then the ledger. What is complete is not run again, and what
# was interrupted goes on. On two cores: an hour and a half for all (the sum of its parts), 10 minutes with --quick,
# whose few seeds decide nothing.
# The recordings go to data/runs (data/runs/quick with --quick), the ledger beside them as ledger.md, .html and .csv.
# PYTHON=python3.12 chooses the interpreter.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

size="" out=""
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) show_help; exit 0 ;;
        --quick) size=--quick; shift ;;
        --out) [ $# -gt 1 ] || fail "--out needs a folder"; out=$2; shift 2 ;;
        *) fail "unknown option '$1'; there are --quick and --out FOLDER" ;;
    esac
done
case "$out" in "" | /*) ;; *) out=$PWD/$out ;; esac

use_env twin
cd "$ROOT"
out=${out:-data/runs${size:+/quick}}
bioplastic claims --list | while read -r name options; do
    say "$name"
    if [ -n "$size" ]; then options=$size; fi
    # shellcheck disable=SC2086  # options are words
    python "scripts/$name.py" $options --out "$out/$name.h5" </dev/null
done
exec bioplastic claims "$out" --out "$out/ledger"
