#!/usr/bin/env bash
# Find the electrons of the frames in $FINALTEST: $DATA_DIR/finaltest_npy/final_START_STOP.npz.
# Further options (--range START STOP, --no-events ..) go to src/gen_finaltest_npy.py.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
stage gen_finaltest_npy --finaltest "$FINALTEST" --output "$DATA_DIR/finaltest_npy" \
    --phosphor "$PARAM_DIR/phosphor.toml" --finder "$PARAM_DIR/finder.toml" --workers "$WORKERS" \
    --scheduler "$SCHEDULER" "$@"
