"""How fast something goes on, of late."""

import pytest

from util.runtime.pace import WINDOW_S, Pace


def test_the_pace_is_that_of_the_last_seconds():
    now = [0.0]
    pace = Pace(lambda: now[0])
    assert (pace.per_second, pace.still_s) == (0, 0)
    for second in range(60):
        now[0] = second
        pace.count(20 * min(second, 40))
        if second == 40:
            of_then = pace.per_second
    assert of_then == pytest.approx(20)
    assert pace.per_second == 0 and pace.still_s == 19
    # Nobody counted for a while: it may have gone on.
    now[0] += 5 * WINDOW_S
    assert pace.still_s == 19
    pace.count(1800)
    assert pace.per_second == pytest.approx(1000 / (5 * WINDOW_S + WINDOW_S), rel=0.2) and pace.still_s == 0
