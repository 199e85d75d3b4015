#!/usr/bin/env bash
# Start WORKERS Dask workers, one per core, for the scheduler at SCHEDULER. Options (--memory-limit 4GB ..) go to `dask worker`.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=script/env.sh
source script/env.sh
: "${SCHEDULER:?name the scheduler: SCHEDULER=tcp://host:8786}"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" # so that they find this project
exec "$PYTHON" -m dask worker "$SCHEDULER" --nthreads 1 --nworkers "$WORKERS" "$@"
