"""Spheres and experiments refuse what cannot be."""

from dataclasses import replace

import pytest

from support import truth
from util.physics.sphere import Experiment, Sphere
from util.runtime.errors import InputError
from util.runtime.settings import load

GOOD = truth.DESIGN[0]


def test_the_design_experiment_has_86_electrons_per_frame_on_two_spheres():
    experiment = load(Experiment, truth.ROOT / "param" / "experiment.toml")
    assert [sphere.R for sphere in experiment.spheres] == [0.5, 0.8]
    assert experiment.electrons_per_frame == 86
    assert experiment.frames == 50000


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"R": -0.5}, "^R must be above 0"),
        ({"sigma_R": 0.0}, "sigma_R must be above 0"),
        ({"R": 0.04}, "R - 5 sigma_R"),
        ({"R": 0.96}, "edge of the screen"),
        ({"R": float("nan")}, "finite"),
        ({"electrons_per_frame": 0}, "electrons_per_frame"),
        ({"beta": ()}, "beta is empty"),
        ({"beta": (1.1,)}, "must not be negative"),
    ],
)
def test_a_sphere_out_of_range_is_refused_in_a_sentence(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(GOOD, **change)


def test_a_sphere_that_just_reaches_the_edge_is_accepted():
    assert Sphere(0.75, 0.05, 1, (0.0,)).R == 0.75


def test_an_experiment_without_frames_or_spheres_is_refused():
    with pytest.raises(ValueError, match="frames"):
        Experiment(0, (GOOD,))
    with pytest.raises(ValueError, match="no spheres"):
        Experiment(1, ())


def test_a_settings_file_with_a_negative_pad_names_file_and_reason(tmp_path):
    path = tmp_path / "experiment.toml"
    path.write_text("frames = 1\n[[spheres]]\nR = 0.5\nsigma_R = 0.01\nelectrons_per_frame = 3\nbeta = [-0.9]\n")
    with pytest.raises(InputError, match=r"experiment\.toml.*must not be negative"):
        load(Experiment, path)
