#!/usr/bin/env bash
# Spectrum of the electrons in $DATA_DIR/finaltest_npy: $DATA_DIR/spectrum.h5; figure and CSV in $DATA_DIR/figures.
# Options (--order L, --calibration FILE, --merge FILE ..) go to src/gen_spectrum.py.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
stage gen_spectrum --shards "$DATA_DIR/finaltest_npy" --output "$DATA_DIR/spectrum.h5" \
    --details "$DATA_DIR/figures" --seed "$SEED" "$@"
