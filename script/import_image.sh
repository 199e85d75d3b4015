#!/usr/bin/env bash
# Import an accumulated image: $DATA_DIR/finaltest_npy/final_0_1.npz. FILE and further options (--axis 1,
# --counts-per-electron G ..) go to src/import_image.py.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
stage import_image --output "$DATA_DIR/finaltest_npy" "$@"
