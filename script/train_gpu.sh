#!/usr/bin/env bash
# Train both networks within 25 minutes of one H100-class GPU, and then release them: param/*.weights.pt, param/weights.json,
# and parts under 16 MB in $DATA_DIR/weights_parts. Until both are trained, all goes to $DATA_DIR: network/, train_loss/ and
# valid_loss/. Stopped and started again, it goes on from the last epoch.
# Options (--epochs N ..) go to src/run_model.py, for both stages. NGPU=0 PRECISION=float32: without a GPU.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=script/env.sh
source script/env.sh
for option in "$@"; do
    [[ "$option" != -h && "$option" != --help ]] || exec bash script/run_model.sh --help
done
common=(--batch 256 --epoch-samples 51200 --epochs 100 --prior)
bash script/run_model.sh --stage pretraining --precision "${PRECISION:-bf16}" --minutes 14 \
    "${common[@]}" "$PARAM_DIR/pretraining.toml" "$@"
bash script/run_model.sh --stage fine_tuning --minutes 9 "${common[@]}" "$PARAM_DIR/fine_tuning.toml" "$@"
exec bash script/release_weights.sh --parts "$DATA_DIR/weights_parts"
