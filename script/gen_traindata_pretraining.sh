#!/usr/bin/env bash
# Make the sets for pretraining: $DATA_DIR/traindata and $DATA_DIR/validdata.
# Further options (--training N, --sampling electrons ..) go to src/gen_traindata_pretraining.py.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
stage gen_traindata_pretraining --data "$DATA_DIR" --input "$PARAM_DIR/network_input.toml" \
    --prior "$PARAM_DIR/pretraining.toml" --seed "$SEED" --workers "$WORKERS" "$@"
