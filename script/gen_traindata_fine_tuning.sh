#!/usr/bin/env bash
# Make the sets for fine-tuning about $ANSWER: $DATA_DIR/fine_tuning.toml, $DATA_DIR/traindata, $DATA_DIR/validdata.
# Further options (--training N, --sampling electrons ..) go to src/gen_traindata_fine_tuning.py.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
stage gen_traindata_fine_tuning --data "$DATA_DIR" --input "$PARAM_DIR/network_input.toml" \
    --answer "$ANSWER" --seed "$SEED" --workers "$WORKERS" "$@"
