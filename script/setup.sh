#!/usr/bin/env bash
# Make .venv from requirements.txt; quick when nothing changed. PYTHON=python3.12 chooses the interpreter.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
stamp=.venv/requirements.done
if [[ -x .venv/bin/python ]] && cmp -s requirements.txt "$stamp"; then
    exit 0
fi
python="${PYTHON:-python3}"
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "error: $python: expected Python 3.11 or newer; name one with PYTHON=..." >&2
    exit 2
fi
echo "installing requirements.txt into .venv (PyTorch is large: minutes on a slow line)"
"$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
cp requirements.txt "$stamp"
