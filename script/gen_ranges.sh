#!/usr/bin/env bash
# Read the ranges of the parameters off training files: $DATA_DIR/ranges.toml, $DATA_DIR/figures/ranges.png and .pdf.
# Further options (--files FILE .., --boundaries R ..) go to src/gen_ranges.py; without --files it reads $FINALTEST.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
stage gen_ranges --files "$FINALTEST" --output "$DATA_DIR/ranges.toml" --figures "$DATA_DIR/figures" "$@"
