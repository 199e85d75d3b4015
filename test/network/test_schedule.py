"""Learning rate and end of a training."""

import dataclasses

import numpy as np
import pytest

from src.network.schedule import Duration, rate_at
from support.param import STAGES
from util.training.course import Course, Epoch

START = Course(epoch=0, samples=0, seconds=0.0, curve=())


def after(*seconds):
    """Return how far a training has come whose epochs ended at these times."""
    course = START
    for epoch, time in enumerate(seconds):
        course = course.after(Epoch(epoch, (0.1, 0.0), (0.1, 0.0), 1e-4, time, 8 * (epoch + 1)), time)
    return course


def test_the_rate_warms_up_and_falls_to_a_thousandth():
    rates = [rate_at(STAGES.stage("pretraining", {"rate": 1.0}), t) for t in np.linspace(0, 1, 101)]
    assert rates[0] < 0.1 and max(rates) == pytest.approx(1.0, abs=0.01) and rates[-1] == pytest.approx(1e-3)
    assert np.argmax(rates) == 20
    cosine = STAGES.stage("pretraining", {"schedule": "cosine"})
    assert np.argmax([rate_at(cosine, t / 100) for t in range(101)]) == 2


def test_a_training_goes_on_over_its_rounds_and_each_begins_anew():
    duration = Duration(epochs=2, rounds=2)
    assert [duration.is_over(after(*range(1, epochs + 1))) for epochs in range(5)] == [False] * 4 + [True]
    begun = [duration.progress(after(*range(1, epochs + 1)), 4) for epochs in range(4)]
    assert [progress(1) for progress in begun] == [0.125, 0.625, 0.125, 0.625]


def test_with_a_limit_of_time_the_clock_counts_where_it_is_ahead_of_the_epochs():
    duration = Duration(epochs=10, minutes=1.0)
    slow = duration.progress(after(15.0, 30.0), 10)
    # half a minute is over, and another quarter of it will be after this epoch
    assert slow(0) == pytest.approx(0.5) and slow(10) == pytest.approx(0.75)
    fast = duration.progress(after(0.6, 1.2), 10)
    assert fast(0) == pytest.approx(0.2)
    assert not duration.is_over(after(15.0, 30.0)) and duration.is_over(after(15.0, 60.0))
    assert dataclasses.replace(duration, minutes=None).progress(after(15.0, 30.0), 10)(0) == pytest.approx(0.2)
