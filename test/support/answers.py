"""Shards of perfectly found electrons, the answer stage in this process, and a look into its answer."""

import contextlib
import io
import re

import h5py
import numpy as np

from src import gen_finaltest_answer
from support.shards import events_at, shard_of, write
from support.truth import hits
from util.answer.made_by import AnswerSettings, MadeBy
from util.fit.parameters import Layout
from util.fit.result import FitResult
from util.frames.course_file import FrameFile
from util.frames.course_writer import pack_frame, writing_frames
from util.simulation.truth_tables import TRUTH, truth_rows

ELECTRONS = 150_000  # of each sphere
FRAMES = 30
CUTS = ((0, 10), (10, 20), (20, 30))
CENTRE = (0.0004, -0.0003)
MADE_BY = MadeBy(
    AnswerSettings(
        method="likelihood",
        spheres=2,
        order=24,
        hit_weights="flux",
        orders="all",
        nonnegative=False,
        bias=None,
        subtract_bias="clear",
        bootstrap=None,
        check_integrated=False,
        seed=0,
        prior=None,
        orders_of_spheres=(24,),
        fit=("auto",),
        plate="auto",
    ),
    {"python": "3.11"},
    "0123",
    {"final_0_10.npz": "4567"},
)


def result_of(spheres=2, betas=12):
    """Make a fit's result of numbers that tell themselves apart."""
    rng, layout = np.random.default_rng(8), Layout(spheres, 2 * betas)
    values = np.zeros(layout.size)
    values[layout.N], values[layout.R], values[layout.sigma_R] = 5e4, np.linspace(0.4, 0.7, spheres), 0.01
    values[layout.beta] = rng.uniform(-0.1, 0.1, (spheres, betas))
    values[layout.centre] = 0.001, -0.002
    factor = rng.normal(size=(layout.size, layout.size)) * 1e-3
    return FitResult(
        layout=layout,
        values=values,
        covariance=factor @ factor.T,
        floor_covariance=0.81 * factor @ factor.T,
        deviance=1234.5,
        dof=1200,
        condition=17.0,
        iterations=5,
        converged=True,
        hits=100_000,
    )


def write_finaltest(path, spheres):
    """Write frames that nobody looks at, and the truth."""
    frame = np.zeros((16, 16), np.uint8)
    with writing_frames(path, frame.shape, FRAMES, {}) as writer:
        rows = truth_rows(spheres)
        writer.put(writer.create_table(TRUTH, rows.dtype, len(rows)), 0, rows)
        for index in range(FRAMES):
            writer.write(index, pack_frame(index, frame))
    with FrameFile(path) as file:
        return file.fingerprint()


def write_run(folder, spheres, seed):
    """Write finaltest.h5 and three shards of perfectly found electrons, whose flux spreads as real spots' does."""
    rng = np.random.default_rng(seed)
    source = write_finaltest(folder / "finaltest.h5", spheres)
    positions = hits(spheres, (ELECTRONS,) * len(spheres), rng=rng) + np.array(CENTRE)[:, None]
    weight = rng.normal(1, 0.17, positions.shape[1])
    part = rng.integers(0, len(CUTS), positions.shape[1])
    for number, (start, stop) in enumerate(CUTS):
        events = events_at(*positions[:, part == number], weight[part == number], start)
        write(folder / "shards", shard_of(events, start, stop, source=source, frames_in_source=FRAMES))


def answer(shards, output, *options):
    """Run the stage in this process; give all that it can print."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        gen_finaltest_answer.main(
            [str(word) for word in ["--shards", shards, "--output", output, "--verbose", *options]]
        )
    return printed.getvalue()


def parameters(path):
    with h5py.File(path) as file:
        rows = file["Parameters"][()]
    return {row["Name"].decode(): row for row in rows}


def last_line(printed):
    return printed.splitlines()[-1]


def numbers(printed):
    """Distance and floor of the last line."""
    found = re.fullmatch(r"distance (\d\.\d{4}) \(statistical floor (\d\.\d{4})\)", last_line(printed))
    return tuple(map(float, found.groups()))
