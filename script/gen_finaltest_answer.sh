#!/usr/bin/env bash
# Answer from the electrons found in $DATA_DIR/finaltest_npy: $ANSWER. METHOD=likelihood, resnet or integrated.
# NETWORK: the network's weights, a folder or a file ($PARAM_DIR; your own: $DATA_DIR/network).
# Further options (--figure FILE, --spheres N ..) go to src/gen_finaltest_answer.py.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
stage gen_finaltest_answer --shards "$DATA_DIR/finaltest_npy" --finaltest "$FINALTEST" \
    --output "$ANSWER" --method "$METHOD" --network "$NETWORK" --details "$DATA_DIR/figures" \
    --phosphor "$PARAM_DIR/phosphor.toml" --finder "$PARAM_DIR/finder.toml" --workers "$WORKERS" "$@"
