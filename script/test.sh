#!/usr/bin/env bash
# Lint and test. Options go to pytest.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
bash script/setup.sh
# shellcheck source=script/env.sh
source script/env.sh
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/shellcheck -x script/*.sh .ci/run
exec .venv/bin/python -m pytest "$@"
