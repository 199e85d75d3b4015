#!/usr/bin/env bash
# Train the network: --stage pretraining (default) or fine_tuning. NGPU processes, one per GPU; 0: one on the CPU.
# Several nodes: NNODES, and MASTER_ADDR and MASTER_PORT of one of them, in the environment of each.
# Further options (--train FILE .., --epochs N ..) go to src/run_model.py.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
stage run_model --param "$PARAM_DIR" --data "$DATA_DIR" --seed "$SEED" --processes "${NGPU:-all}" \
    --nodes "${NNODES:-1}" --rendezvous "${MASTER_ADDR:-localhost}:${MASTER_PORT:-0}" "$@"
