#!/usr/bin/env bash
# From the frames in $FINALTEST to $ANSWER: find the electrons, then answer. Options go to gen_finaltest_answer.sh.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
bash script/gen_finaltest_npy.sh
exec bash script/gen_finaltest_answer.sh "$@"
