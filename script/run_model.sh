#!/usr/bin/env bash
# Train the network: --stage pretraining (default) or fine_tuning. NGPU processes, one per GPU; 0: one on the CPU.
# Several nodes: NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT in the environment of each.
# Further options (--train FILE .., --epochs N ..) go to src/run_model.py.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=script/env.sh
source script/env.sh
NGPU="${NGPU:-$("$PYTHON" -c 'import torch; print(torch.cuda.device_count())')}"
launch=("$PYTHON")
if ((NGPU > 1 || ${NNODES:-1} > 1)); then
    launch=("$PYTHON" -m torch.distributed.run --nnodes "${NNODES:-1}" --node-rank "${NODE_RANK:-0}"
        --nproc-per-node "$((NGPU > 0 ? NGPU : 1))" --master-addr "${MASTER_ADDR:-127.0.0.1}" --master-port "${MASTER_PORT:-29500}")
fi
device=auto
((NGPU > 0)) || device=cpu
exec "${launch[@]}" -m src.run_model --param "$PARAM_DIR" --seed "$SEED" --device "$device" "$@"
