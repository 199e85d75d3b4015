#!/usr/bin/env bash
# Hand the electrons in $DATA_DIR/finaltest_npy on as one HDF5 table: $DATA_DIR/events.h5.
# Further options (--partial, --output FILE) go to src/gen_events_h5.py.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
stage gen_events_h5 --shards "$DATA_DIR/finaltest_npy" --output "$DATA_DIR/events.h5" "$@"
