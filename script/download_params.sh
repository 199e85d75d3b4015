#!/usr/bin/env bash
# Fetch the released weights named in $PARAM_DIR/weights.json from PARAMS_URL, or from the address in there.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
stage download_params --param "$PARAM_DIR" --base "${PARAMS_URL:-}" "$@"
