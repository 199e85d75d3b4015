#!/usr/bin/env bash
# Play the experiment: camera frames of known spheres, $FINALTEST; with --kind 2 many spheres, and no frames.
# Further options go to src/simulate_finaltest.py.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
stage simulate_finaltest --output "$FINALTEST" \
    --experiment "$PARAM_DIR/experiment.toml" --phosphor "$PARAM_DIR/phosphor.toml" \
    --prior "$PARAM_DIR/pretraining.toml" \
    --seed "$SEED" --workers "$WORKERS" --scheduler "$SCHEDULER" "$@"
