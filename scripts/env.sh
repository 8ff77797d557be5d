# Sourced by demo.sh, test.sh and .ci/matrix. `use_env EXTRAS` leaves a virtual environment ready and first on PATH:
# the folder BIOPLASTIC_VENV (default: .venv in this repository), remade when its Python is another one than PYTHON
# (default: the one that it has, else python3).

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf 'bioplastic: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# The comment at the head of the calling script is its help.
show_help() { awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$0"; }

python_version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

# The one that an existing virtual environment has, else python3.
default_python() { if "$1/bin/python" -c '' >/dev/null 2>&1; then echo "$1/bin/python"; else echo python3; fi; }

# Two numbers: the minor version of the oldest Python 3 that pyproject.toml allows, and of the first too new for it.
python_range() { sed -n 's/^requires-python = ">=3\.\([0-9]*\),<3\.\([0-9]*\)"$/\1 \2/p' "$ROOT/pyproject.toml"; }

check_python() {
    local version low high
    version=$(python_version "$1") || fail "no Python at '$1'; name one with PYTHON=python3.12 $0"
    read -r low high < <(python_range)
    if [ "${version%%.*}" -ne 3 ] || [ "${version#*.}" -lt "$low" ] || [ "${version#*.}" -ge "$high" ]; then
        fail "Python 3.$low to 3.$((high - 1)) is needed and '$1' is $version; name another with PYTHON=python3.12 $0"
    fi
}

check_compiler() {
    local hint
    if [ "$(uname)" = Darwin ]; then
        xcode-select -p >/dev/null 2>&1 && return  # c++ is there without the tools too, and does nothing
        hint="xcode-select --install"
    else
        command -v "${CXX:-c++}" >/dev/null && command -v make >/dev/null && return
        hint="Debian: apt install g++ make; conda: conda install -c conda-forge cxx-compiler make"
    fi
    say "no C++ compiler with make was found, so Brian2 runs in its slower runtime mode ($hint)."
}

use_env() {
    local extras=$1 venv=${BIOPLASTIC_VENV:-$ROOT/.venv} key
    case "$venv" in /*) ;; *) venv=$PWD/$venv ;; esac
    # It may be emptied below, and somebody may have named a folder of his own.
    if [ -n "$(ls -A "$venv" 2>/dev/null)" ] && [ ! -e "$venv/pyvenv.cfg" ]; then
        fail "BIOPLASTIC_VENV: $venv is no virtual environment and not empty; name another folder"
    fi
    [ -n "${PYTHON:-}" ] || PYTHON=$(default_python "$venv")
    check_python "$PYTHON"
    check_compiler

    if [ "$(python_version "$venv/bin/python" || true)" != "$(python_version "$PYTHON")" ]; then
        say "making $venv with Python $(python_version "$PYTHON")"
        "$PYTHON" -m venv --clear "$venv" || fail "no $venv without Python's venv module (Debian: apt install python3-venv)"
    fi

    # Up to date: a stamp for these extras, or for all, that holds the hash of what decides the installation.
    key=$("$venv/bin/python" -c '
import hashlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
parts = [str(root), sys.version, *((root / f).read_text() for f in ("pyproject.toml", ".ci/constraints.txt"))]
print(hashlib.sha256(repr(parts).encode()).hexdigest())' "$ROOT")
    if [ "$(cat "$venv/installed-$extras" 2>/dev/null)" != "$key" ] && [ "$(cat "$venv/installed-all" 2>/dev/null)" != "$key" ]; then
        say "installing into $venv (some minutes the first time)"
        rm -f "$venv"/installed-*
        "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null
        (cd "$ROOT" && "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt -e ".[$extras]")
        printf '%s\n' "$key" >"$venv/installed-$extras"
    fi
    export VIRTUAL_ENV=$venv PATH="$venv/bin:$PATH"
}
