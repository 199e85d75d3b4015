"""The word on a first run: said once, and only where something is compiled."""

import subprocess
import sys

from support import ROOT

CODE = """
import numba
from util.runtime.compiling import announce
announce()
@numba.njit(cache=True)
def one(x):
    return x + 1
@numba.njit(cache=True)
def two(x):
    return one(x) + 1
two(1)
two(1.0)
"""


def test_that_it_compiles_is_said_once_and_only_where_it_does(tmp_path):
    (tmp_path / "code.py").write_text(CODE)
    environment = {"PATH": "/usr/bin:/bin", "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    said = [
        subprocess.run([sys.executable, tmp_path / "code.py"], env=environment, capture_output=True, text=True).stdout
        for _ in range(2)
    ]
    assert said == ["compiling the functions of this stage, once (10 to 20 seconds) ..\n", ""]
