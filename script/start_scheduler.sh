#!/usr/bin/env bash
# Start a Dask scheduler, whose address goes into SCHEDULER. For other machines too: --host HOST.
# Options (--port 8786 ..) go to `dask scheduler`.
set -euo pipefail
CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
# shellcheck source=script/env.sh
source script/env.sh
stage start_scheduler "$@"
