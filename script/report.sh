#!/usr/bin/env bash
# One self-contained HTML page of $ANSWER and $DATA_DIR, through final.ipynb: $DATA_DIR/report.html, or REPORT=FILE.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
REPORT="$(from_caller "${REPORT:-$DATA_DIR/report.html}")"
stage report --output "$REPORT" "$@"
