#!/usr/bin/env bash
# Start WORKERS Dask workers, one per core, for the scheduler at SCHEDULER. Options (--memory-limit 4GB ..) go to `dask worker`.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=script/env.sh
source script/env.sh
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" # so that they find this project
stage start_workers "$SCHEDULER" --nworkers "$WORKERS" "$@"
