"""Files of results: what one run wrote, the next goes on from."""

from dataclasses import dataclass

import pytest

from benchmark.shared.results import read_rows, write_json
from util.runtime.errors import InputError


@dataclass(frozen=True)
class Row:
    name: str
    radii: tuple[float, ...]


def test_rows_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "new" / "rows.json"
    assert read_rows(path) == []
    write_json(path, [Row("a", (0.5, 0.8)), {"p": None}])
    assert read_rows(path) == [{"name": "a", "radii": [0.5, 0.8]}, {"p": None}]


@pytest.mark.parametrize("text", ["", "[1, 2", '{"rows": []}'])
def test_a_file_of_something_else_is_refused(tmp_path, text):
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"rows.json: expected rows of an earlier run, found none; remove it"):
        read_rows(path)
