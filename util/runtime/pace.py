"""How fast something that is counted goes on, of late."""

import time
from collections import deque
from collections.abc import Callable

WINDOW_S = 10.0


class Pace:
    """The pace of a number that grows, over the last seconds.

    Parameters
    ----------
    clock : function
        Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()
        self._last, self._changed = 0, clock()

    def count(self, number: int) -> None:
        """Note what the number is now."""
        now = self._clock()
        if number != self._last:
            self._last, self._changed = number, now
        self._seen.append((now, number))
        while len(self._seen) > 2 and now - self._seen[1][0] > WINDOW_S:
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        """By how much it grows in a second."""
        if len(self._seen) < 2:
            return 0.0
        (start, first), (end, last) = self._seen[0], self._seen[-1]
        return max(last - first, 0) / (end - start) if end > start else 0.0

    @property
    def still_s(self) -> float:
        """For how long it had not changed when it was counted last [s]."""
        return max(self._seen[-1][0] - self._changed, 0.0) if self._seen else 0.0
