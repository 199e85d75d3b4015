#!/usr/bin/env bash
# Check the frames in $FINALTEST before they are searched: what their detector does to an answer, and whether it drifts;
# $DATA_DIR/figures/detector.png and .pdf.
# Further options (--dataset NAME ..) go to src/check_frames.py.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
stage check_frames --finaltest "$FINALTEST" --phosphor "$PARAM_DIR/phosphor.toml" --finder "$PARAM_DIR/finder.toml" \
    --figures "$DATA_DIR/figures" "$@"
