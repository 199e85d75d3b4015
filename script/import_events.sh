#!/usr/bin/env bash
# Import lists of events: $DATA_DIR/finaltest_npy/final_START_STOP.npz. FILE .. and further options (--pixels W H,
# --columns x,z,frame,weight ..) go to src/import_events.py.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
stage import_events --output "$DATA_DIR/finaltest_npy" "$@"
