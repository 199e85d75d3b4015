#!/usr/bin/env bash
# Cut patches for the spot classifier out of $FINALTEST: $DATA_DIR/gauss/TASK_train.h5 and TASK_valid.h5.
# Further options (--task finder, --frames N ..) go to src/gen_gauss_data.py.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
stage gen_gauss_data --finaltest "$FINALTEST" --output "$DATA_DIR/gauss" \
    --settings "$PARAM_DIR/gauss.toml" --seed "$SEED" "$@"
