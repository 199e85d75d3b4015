#!/usr/bin/env bash
# See the whole chain at work: set up, simulate 2,000 frames, find their electrons, answer. All under data/quickstart/.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
bash script/setup.sh
export DATA_DIR="$PWD/data/quickstart"
export FINALTEST="$DATA_DIR/finaltest.h5" ANSWER="$DATA_DIR/final.h5" METHOD=likelihood
bash script/simulate_finaltest.sh --frames 2000
bash script/gen_finaltest_npy.sh
bash script/gen_finaltest_answer.sh --figure "$DATA_DIR/answer.png"
