#!/usr/bin/env bash
# Train the spot classifier on the patches in $DATA_DIR/gauss; weights and losses go there too. On a GPU if there is one; NGPU=0: not.
# Further options (--task finder, --epochs N ..) go to src/run_gauss_model.py.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
device=auto
[[ "$NGPU" != 0 ]] || device=cpu
stage run_gauss_model --data "$DATA_DIR/gauss" --settings "$PARAM_DIR/gauss.toml" --device "$device" \
    --seed "$SEED" "$@"
