"""METHOD=resnet: hits and prior together, and what it does with hits that the network was not trained for."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from src import gen_finaltest_answer, gen_traindata_fine_tuning
from support.networks import facts_of, shortcut_network, write_weights
from support.param import prior_named
from support.shards import events_at, shard_of, write
from support.truth import hits
from util.answer.final_h5 import read_answer, read_parameters
from util.physics import pad
from util.physics.sphere import Sphere
from util.runtime.errors import InputError
from util.training.priors import draw
from util.training.reference import reference_of

N = 200_000  # electrons of a sphere
PRIOR = prior_named("fine_tuning")
DRAWS = draw(PRIOR, 3, rng=np.random.default_rng(11))


def spheres_of(i, **changes):
    own = zip(DRAWS.R[i], DRAWS.sigma_R[i], DRAWS.beta[i], strict=True)
    return [replace(Sphere(R, sigma_R, 43, tuple(beta)), **changes) for R, sigma_R, beta in own]


def positions(spheres, n=N, seed=0):
    return hits(spheres, (n,) * len(spheres), rng=np.random.default_rng(seed))


@pytest.fixture(scope="module")
def weights(module_folder):
    """Return weights for the radii of the final test, with a reference that lets readings lie anywhere."""
    rng = np.random.default_rng(0)
    facts = facts_of(
        PRIOR, stage="fine_tuning", reference=reference_of(0.05 * rng.standard_normal((300, 2, 12)), 4.3e6)
    )
    return write_weights(module_folder("weights") / "fine_tuning.weights.pt", shortcut_network(), facts)


@pytest.fixture
def answered(tmp_path, weights):
    """Answer hits at positions; return final.h5."""

    def answer(x, z, *options):
        write(tmp_path, shard_of(events_at(x, z)))
        words = ["--shards", tmp_path, "--output", tmp_path / "final.h5", "--network", weights, "--method", "resnet"]
        gen_finaltest_answer.main([*map(str, words), "--bias", "0", *options])
        return tmp_path / "final.h5"

    return answer


def warnings_of(path):
    with h5py.File(path) as file:
        return [text.decode() for text in file["Warnings"][()]]


def p_of(path):
    with h5py.File(path) as file:
        return {row["Name"].decode(): row["P"] for row in file["Tests"][()]}


def test_the_answer_has_errors_and_tests_and_serves_the_next_stage(answered, tmp_path):
    path = answered(*positions(spheres_of(0)))
    layout, values, errors = read_parameters(path)
    pulls = (values[layout.beta] - DRAWS.beta[0]) / errors[layout.beta]
    assert np.abs(pulls).max() < 4
    assert np.sqrt(np.mean(pulls**2)) == pytest.approx(1, abs=0.35)
    assert p_of(path)["prior"] > 1e-3 and p_of(path)["network"] > 1e-3
    with h5py.File(path) as file:
        reading = file["Network"]["beta"][()]
        assert set(file) >= {"Answer", "AnswerField", "Covariance", "Nuisances", "Parameters", "Tests"}
    assert pad.distance(read_answer(path)["beta"], DRAWS.beta[0]) < pad.distance(reading, DRAWS.beta[0]) < 0.2

    options = ["--answer", path, "--data", tmp_path / "data", "--training", 2, "--validation", 2, "--workers", 1]
    gen_traindata_fine_tuning.main(list(map(str, options)))
    assert (tmp_path / "data" / "fine_tuning.toml").exists()


@pytest.mark.slow
def test_background_and_rotation_are_fitted_besides(answered, capsys):
    x, z = positions(spheres_of(0))
    rng = np.random.default_rng(1)
    rho, phi = np.sqrt(rng.uniform(0, 1, x.size // 20)), rng.uniform(0, 2 * np.pi, x.size // 20)
    angle = np.radians(3)
    x, z = np.cos(angle) * x + np.sin(angle) * z, np.cos(angle) * z - np.sin(angle) * x
    path = answered(np.append(x, rho * np.sin(phi)), np.append(z, rho * np.cos(phi)))
    said = capsys.readouterr().out
    assert "fitted besides, since the hits call for it: background, rotation" in said
    assert "network: its reading, which knows nothing of background, rotation, is not compared with the hits" in said
    layout, values, errors = read_parameters(path)
    pulls = (values[layout.beta] - DRAWS.beta[0]) / errors[layout.beta]
    assert np.sqrt(np.mean(pulls**2)) < 1.4


def as_many_as_told(spheres):
    """Return positions (2, n) of hits in the ratio of the spheres' electrons of a frame."""
    return hits(spheres, [N * s.electrons_per_frame // 43 for s in spheres], rng=np.random.default_rng(0))


def with_a_third_sphere():
    return [*spheres_of(0), Sphere(0.65, 0.01, 5, (0.2, 0.1))]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spheres", "cause"),
    [
        (lambda: spheres_of(0, sigma_R=0.03), r"most in sigma_R_[12]: 0\.0[23]"),
        (lambda: [replace(s, beta=tuple(b)) for s, b in zip(spheres_of(0), DRAWS.beta[0, ::-1], strict=True)], "beta_"),
        (with_a_third_sphere, "another sphere"),
    ],
    ids=["wide spheres", "other PADs", "a third sphere"],
)
def test_what_the_network_was_not_trained_for_is_refused_with_the_cause(answered, tmp_path, spheres, cause):
    x, z = as_many_as_told(spheres())
    told = rf"not what the network was trained for: .*{cause}.*METHOD=likelihood.*--force"
    with pytest.raises(InputError, match=told):
        answered(x, z)
    assert not (tmp_path / "final.h5").exists()


@pytest.mark.slow
def test_what_the_network_was_not_trained_for_is_answered_by_force(answered):
    path = answered(*as_many_as_told(with_a_third_sphere()), "--force")
    assert any("another sphere" in text for text in warnings_of(path))
    assert len(read_answer(path)["R"]) == 2


@pytest.mark.slow
def test_a_reading_that_lies_too_far_from_the_fit_is_refused(answered, tmp_path):
    net = shortcut_network()
    narrow = reference_of(1e-4 * np.random.default_rng(0).standard_normal((300, 2, 12)), 4.3e6)
    own = write_weights(tmp_path / "a.weights.pt", net, facts_of(PRIOR, stage="fine_tuning", reference=narrow))
    with pytest.raises(InputError, match=r"the network reads betas that lie 0\.\d+ from what the hits"):
        answered(*positions(spheres_of(1)), "--network", str(own))


@pytest.mark.slow
def test_spheres_that_overlap_are_answered(answered, tmp_path):
    wide = write_weights(
        tmp_path / "pretraining.weights.pt", shortcut_network("pretraining"), facts_of(prior_named("pretraining"))
    )
    drawn = draw(prior_named("pretraining"), 2, rng=np.random.default_rng(3))
    close = [
        Sphere(R, float(sigma_R), 43, tuple(beta))
        for R, sigma_R, beta in zip((0.6, 0.615), drawn.sigma_R[0], drawn.beta[0], strict=True)
    ]
    path = answered(*positions(close, n=400_000), "--network", str(wide))
    layout, values, errors = read_parameters(path)
    pulls = (values[layout.beta] - drawn.beta[0]) / errors[layout.beta]
    assert np.abs(pulls).max() < 4
    assert values[layout.R] == pytest.approx([0.6, 0.615], abs=0.002)
