# shellcheck shell=bash
# Settings of every stage, each taken from the environment where it is set there. Sourced from the repository's root.

# Else the shell goes on where Ctrl-C comes while a command of this file runs to its end.
trap 'exit 130' INT

# A relative path that the user set is meant from where they called the script, not from the root.
from_caller() { case "$1" in /*) echo "$1" ;; *) echo "$OLDPWD/$1" ;; esac; }

DATA_DIR="${DATA_DIR:-$PWD/data}"
DATA_DIR="$(from_caller "$DATA_DIR")"
FINALTEST="${FINALTEST:-$DATA_DIR/finaltest.h5}"
FINALTEST="$(from_caller "$FINALTEST")"
ANSWER="${ANSWER:-$PWD/final.h5}"
ANSWER="$(from_caller "$ANSWER")"
PARAM_DIR="${PARAM_DIR:-$PWD/param}"
PARAM_DIR="$(from_caller "$PARAM_DIR")"
NETWORK="${NETWORK:-$PARAM_DIR}"
NETWORK="$(from_caller "$NETWORK")"  # weights of the network: a folder of them, or a file
METHOD="${METHOD:-likelihood}"       # likelihood | resnet | integrated
WORKERS="${WORKERS:-$(nproc)}"       # processes on this machine
SCHEDULER="${SCHEDULER:-}"           # address of a running Dask scheduler; empty: this machine
NGPU="${NGPU:-}"                     # empty: all that are visible; 0: CPU
SEED="${SEED:-0}"
demand() { # NAME PATTERN WORDS: a setting's value
    [[ "${!1}" =~ ^($2)$ ]] && return
    echo "error: $1: expected $3, found '${!1}'; correct or unset it" >&2
    exit 2
}
demand WORKERS '[1-9][0-9]*' "a number of processes of at least 1"
demand NGPU '|all|[0-9]+' "a number of GPUs of at least 0"
# Compiled functions are kept by the state of all modules that hold some: numba looks only at the file that a function
# stands in, not at those that it calls.
compiled="$(grep -rl --include="*.py" njit util src)" || {
    echo "error: $PWD: expected modules with compiled functions in util or src, found none; restore the project's files" >&2
    exit 2
}
NUMBA_CACHE_DIR="${NUMBA_CACHE_DIR:-$PWD/.cache/numba/$(sort <<<"$compiled" | xargs cat | cksum | cut -d ' ' -f 1)}"
export NUMBA_CACHE_DIR
# The matrices of the fit are small: one BLAS thread is as fast, and several fight over busy cores.
export OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS:-1}"
# Memory that a frame took serves the next one. Given back to the system in between, as glibc does by default and more so
# under Dask, a frame takes 1.2 or 1.5 times as long.
export MALLOC_MMAP_THRESHOLD_="${MALLOC_MMAP_THRESHOLD_:-33554432}" MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_:-268435456}"
# Whatever Python the stage starts finds this project; in the project's own environment nothing else, as a numpy.py of
# somebody's would come before the library.
PYTHON="$PWD/.venv/bin/python"
if [[ -x "$PYTHON" ]]; then
    export PYTHONPATH="$PWD"
else
    PYTHON=python3
    export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
fi
# Figures look alike whoever draws them, and are files: no style of the user's own, and no window.
unset MPLBACKEND
export MATPLOTLIBRC=/dev/null

export DATA_DIR FINALTEST ANSWER PARAM_DIR NETWORK METHOD WORKERS SCHEDULER NGPU SEED PYTHON

# Run a program of src/ in place of this shell. Ctrl-C waits until it is ready for it, where this system's env can see
# to that: while Python itself begins it would end in a traceback.
stage() {
    local waiting=(env --block-signal=INT)
    "${waiting[@]}" true 2>/dev/null || waiting=()
    exec "${waiting[@]}" "$PYTHON" -m src "$@"
}
