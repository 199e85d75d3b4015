#!/usr/bin/env bash
# Search the frames in $FINALTEST while a camera writes them, and show on a page of this machine what they tell so far.
# Further options (--port N, --target ERROR ..) go to src/watch.py.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
# A file that is read would be locked, and the camera's program kept from opening it for writing.
export HDF5_USE_FILE_LOCKING=FALSE
stage watch --finaltest "$FINALTEST" --output "$DATA_DIR/finaltest_npy" --parts "$DATA_DIR/watch" \
    --phosphor "$PARAM_DIR/phosphor.toml" --finder "$PARAM_DIR/finder.toml" "$@"
