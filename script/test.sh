#!/usr/bin/env bash
# Lint and test, a file of tests at a time on each core. Options go to pytest; -n 0 tests in one process.
# --fast, first: without the tests that take long, as those of the stages do; under two minutes on two cores.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
bash script/setup.sh
# shellcheck source=script/env.sh
source script/env.sh
chosen=()
if [[ "${1:-}" == --fast ]]; then
    chosen=(-m "not slow")
    shift
fi
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/shellcheck -x script/*.sh .ci/run
.venv/bin/mypy
exec .venv/bin/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder "${chosen[@]}" "$@"
