#!/usr/bin/env bash
# One self-contained HTML page of $ANSWER and $DATA_DIR, through final.ipynb: $DATA_DIR/report.html, or REPORT=FILE.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=script/env.sh
source script/env.sh
REPORT="$(from_caller "${REPORT:-$DATA_DIR/report.html}")"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" # so that the notebook finds this project
stage report --output "$REPORT" "$@"
