#!/usr/bin/env bash
# Lint and test, a file of tests at a time on each core. Options go to pytest; -n 0 tests in one process.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
bash script/setup.sh
# shellcheck source=script/env.sh
source script/env.sh
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/shellcheck -x script/*.sh .ci/run
exec .venv/bin/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder "$@"
