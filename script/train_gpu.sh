#!/usr/bin/env bash
# Train both networks within 12 minutes of one H100-class GPU, and then release them: param/*.weights.pt, param/weights.json,
# and parts under 16 MB in $DATA_DIR/weights_parts. Until both are trained, all goes to $DATA_DIR: network/, train_loss/ and
# valid_loss/. Stopped and started again, it goes on from the last epoch.
# Options (--epochs N ..) go to src/run_model.py, for both stages. NGPU=0 PRECISION=float32: without a GPU.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
for option in "$@"; do
    [[ "$option" != -h && "$option" != --help ]] || exec bash script/run_model.sh --help
done
# A step of 256 samples takes an H100 as long as one of 1,024: 16 ms, in which the processor tells it what to do.
common=(--batch 2048 --epoch-samples 409600 --epochs 1000 --ema 0.999 --precision "${PRECISION:-bf16}" --prior)
bash script/run_model.sh --stage pretraining --minutes 6 --rate 1e-3 "${common[@]}" "$PARAM_DIR/pretraining.toml" "$@"
bash script/run_model.sh --stage fine_tuning --minutes 4 --rate 6e-4 --frozen 0 \
    "${common[@]}" "$PARAM_DIR/fine_tuning.toml" "$@"
exec bash script/release_weights.sh --parts "$DATA_DIR/weights_parts" \
    --weights "$DATA_DIR/network/pretraining.weights.pt" "$DATA_DIR/network/fine_tuning.weights.pt"
