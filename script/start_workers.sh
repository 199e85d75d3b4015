#!/usr/bin/env bash
# Start WORKERS Dask workers, one per core, for the scheduler at SCHEDULER. Options (--memory-limit 4GB ..) go to `dask worker`.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
stage start_workers "$SCHEDULER" --nworkers "$WORKERS" "$@"
