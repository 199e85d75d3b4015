#!/usr/bin/env bash
# Release the weights that you trained, $DATA_DIR/network/*.weights.pt: copy them to $PARAM_DIR and enter them in its
# weights.json. Options (--weights FILE .., --parts DIR ..) go to src/release_weights.py.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
stage release_weights --manifest "$PARAM_DIR/weights.json" --weights "$DATA_DIR"/network/*.weights.pt "$@"
