"""The table of imperfect detectors: every row can be simulated at every size, and grows with it."""

import pytest

from benchmark.detectors import CAMERA, ROWS, SIZES, Case, detector_of, table_of


@pytest.mark.parametrize("row", [row for row in ROWS if row != "ideal"])
def test_a_row_is_another_detector_at_every_size(row):
    assert len({CAMERA, *(detector_of(Case(row, size, 0, 100, None)) for size in SIZES)}) == 1 + len(SIZES)


def test_a_row_is_told_beside_the_ideal_detector_of_its_seed():
    told = {
        "f1": 0.9,
        "hits_per_electron": 1.1,
        "electrons": 990.0,
        "registered": 1000,
        "perfect": 0.04,
        "pull": -2.0,
        "beta_pull": 1.5,
        "whose": "R_1",
        "warnings": ["background of 2 % and so on"],
    }
    rows = [
        {**Case("ideal", "listed", seed, 100, None)._asdict(), **told, "distance": 0.1, "floor": floor, "warnings": []}
        for seed, floor in ((0, 0.1), (1, 0.05))
    ]
    row = {**Case("gamma 0.8", "half", 1, 100, None)._asdict(), **told, "distance": 0.2, "floor": 0.3}
    line = table_of([row], [*rows, row]).splitlines()[-1]
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        "gamma 0.8", "half", "1", "0.2000", "0.0500", "4.00", "0.80", "+1.5", "-2.0 R_1", "1.000", "1.000", "0.990",
        "background of 2 % and so"
    ]  # fmt: skip
