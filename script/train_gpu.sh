#!/usr/bin/env bash
# Train both networks within 25 minutes of one H100-class GPU, and release them: param/*.weights.pt, param/weights.json, and
# parts under 16 MB in $DATA_DIR/weights_parts. Stopped and started again, it goes on from the last epoch.
# Further options (--epochs N ..) go to src/run_model.py, for both stages. DEVICE=cpu PRECISION=float32: without a GPU.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=script/env.sh
source script/env.sh
common=(--param "$PARAM_DIR" --output "$PARAM_DIR" --losses "$DATA_DIR/network" --seed "$SEED" --device "${DEVICE:-cuda}"
    --batch 256 --epoch-samples 51200 --epochs 100 "$@")
"$PYTHON" -m src.run_model --stage pretraining --precision "${PRECISION:-bf16}" --minutes 14 "${common[@]}"
"$PYTHON" -m src.run_model --stage fine_tuning --minutes 9 "${common[@]}"
exec "$PYTHON" -m src.release_weights --manifest "$PARAM_DIR/weights.json" --parts "$DATA_DIR/weights_parts" \
    --weights "$PARAM_DIR/pretraining.weights.pt" "$PARAM_DIR/fine_tuning.weights.pt"
