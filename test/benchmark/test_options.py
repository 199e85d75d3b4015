"""The options of the benchmarks: read, told and refused as those of the stages are."""

import importlib
import re

import pytest

from support import ROOT
from support.documented_commands import options_of

BENCHMARKS = sorted(path.stem for path in (ROOT / "benchmark").glob("*.py") if path.stem != "__init__")
every_benchmark = pytest.mark.parametrize("name", BENCHMARKS)


@every_benchmark
def test_the_options_of_a_benchmarks_usage_are_those_that_it_takes(name):
    used = importlib.import_module(f"benchmark.{name}").__doc__.partition("\nusage: ")[2].partition("\n\n")[0]
    assert f".venv/bin/python -m benchmark.{name}" in used
    assert set(re.findall(r"--[a-z][\w-]*", used)) - options_of(f"benchmark.{name}") == set()


@every_benchmark
def test_a_benchmark_refuses_what_it_does_not_take_in_one_line(name, capsys):
    with pytest.raises(SystemExit) as end:
        importlib.import_module(f"benchmark.{name}").main(["--jsno", "x"])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert line.endswith(f"python -m benchmark.{name} --help tells all options")
