"""The network's answer to hits."""

import h5py
import numpy as np
import pytest

from src import gen_finaltest_answer
from src.answer_steps import network
from src.network.matrix_net import MatrixNet
from support import ROOT
from support.networks import facts_of, shortcut_network, write_weights
from support.param import MATRIX_STAGES, prior_named
from support.shards import events_at, shard_of, write
from support.truth import DESIGN, hits
from util.answer.final_h5 import read_answer
from util.physics import pad
from util.physics.sphere import Sphere
from util.runtime.errors import InputError
from util.training.matrix_input import MatrixInput

BETA = np.array([s.beta for s in DESIGN])


@pytest.fixture(scope="module")
def weights(module_folder):
    """Return a folder of two files of weights, one trained for all radii and one for those of the final test."""
    folder = module_folder("weights")
    net = shortcut_network()
    for name in ("pretraining", "fine_tuning"):
        write_weights(folder / f"{name}.weights.pt", net, facts_of(prior_named(name), stage=name))
    return folder


def measured(spheres=DESIGN, n=1_000_000, seed=0):
    x, z = hits(spheres, (n, n), rng=np.random.default_rng(seed))
    return x + 0.003, z - 0.002, np.ones(x.size)


def test_the_weights_with_the_narrowest_prior_that_covers_the_radii_answer(weights):
    found = network.look(network.find_weights(weights), *measured(), spheres=2)
    assert found.weights.name == "fine_tuning.weights.pt" and not found.remarks
    assert pytest.approx([0.5, 0.8], abs=0.002) == found.R
    assert pad.distance(found.beta, BETA) < 0.025
    assert pad.distance(found.beta, BETA[::-1]) > 0.3
    assert "trained for radii [0.47, 0.53] and [0.77, 0.83], seen" in network.describe(found)


def test_radii_off_the_narrow_prior_are_read_with_the_wide_one_and_those_off_both_refused(weights):
    elsewhere = [Sphere(R, 0.007, 43, s.beta) for R, s in zip((0.4, 0.7), DESIGN, strict=True)]
    paths = network.find_weights(weights)
    found = network.look(paths, *measured(elsewhere), spheres=2)
    assert found.weights.name == "pretraining.weights.pt"
    outside = [Sphere(R, 0.007, 43, s.beta) for R, s in zip((0.24, 0.7), DESIGN, strict=True)]
    with pytest.raises(
        InputError, match=r"radii: expected .*\[0\.47, 0\.53\].*found 0\.24. and 0\.7.*METHOD=likelihood"
    ):
        network.look(paths, *measured(outside), spheres=2)


def test_weights_of_the_published_network_in_the_folder_are_passed_over(weights, tmp_path):
    matrix, prior = MatrixInput(32, 12), prior_named("fine_tuning")
    facts = facts_of(prior, input=matrix, settings=MATRIX_STAGES.stage("fine_tuning", {"pixels": 32}))
    published = write_weights(tmp_path / "published.weights.pt", MatrixNet("resnet18", 2, matrix), facts)
    found = network.look([published, *network.find_weights(weights)], *measured(), spheres=2)
    assert found.weights.name == "fine_tuning.weights.pt"
    with pytest.raises(InputError, match=r"no weights for 2 sphere\(s\)"):
        network.look([published], *measured(n=1000), spheres=2)


@pytest.mark.slow
def test_a_network_made_for_few_radii_does_not_answer_for_others_that_it_takes_for_its_own():
    """The released one sees spheres at 0.2 and 0.8 at 0.484 and 0.798."""
    elsewhere = [Sphere(R, 0.010, 43, s.beta) for R, s in zip((0.2, 0.8), DESIGN, strict=True)]
    released = [ROOT / "param" / "fine_tuning.weights.pt"]
    with pytest.raises(InputError, match=r"found 0\.48\d and 0\.79\d \(by a search over all radii 0\.20 and 0\.80\)"):
        network.look(released, *measured(elsewhere), spheres=2)
    assert network.look(released, *measured(), spheres=2).weights == released[0]


def test_spheres_too_close_to_search_for_are_answered_where_the_middle_agrees(weights):
    close = [Sphere(R, 0.007, 43, s.beta) for R, s in zip((0.6, 0.625), DESIGN, strict=True)]
    found = network.look(network.find_weights(weights), *measured(close), spheres=2)
    assert found.weights.name == "pretraining.weights.pt" and "overlap" in found.remarks[0]


def test_without_weights_or_with_others_a_sentence_tells(tmp_path):
    with pytest.raises(InputError, match=r"no weights for 2 sphere.*download_params\.sh"):
        network.look([], *measured(n=1000), spheres=2)
    (tmp_path / "a.weights.pt").write_bytes(b"no")
    with pytest.raises(InputError, match=r"a\.weights\.pt: expected a checkpoint"):
        network.look(network.find_weights(tmp_path), *measured(n=1000), spheres=2)
    with pytest.raises(InputError, match="typo: expected the network's weights, or their folder, found none"):
        network.find_weights(tmp_path / "typo")


def test_few_electrons_are_remarked_on(weights):
    found = network.look(network.find_weights(weights), *measured(n=50_000), spheres=2)
    assert "50000 electrons per sphere, fewer than the 100000" in found.remarks[0]


@pytest.mark.slow
def test_the_stage_writes_the_networks_answer_or_prints_it_beside_the_likelihoods(
    weights, tmp_path, capsys, monkeypatch
):
    x, z, _ = measured(n=150_000)
    write(tmp_path, shard_of(events_at(x, z)))
    options = ["--shards", str(tmp_path), "--output", str(tmp_path / "final.h5"), "--network", str(weights)]
    gen_finaltest_answer.main([*options, "--method", "resnet", "--raw"])
    rows = read_answer(tmp_path / "final.h5")
    assert rows["R"] == pytest.approx([0.5, 0.8], abs=0.002)
    assert pad.distance(rows["beta"], BETA) < 0.06
    with h5py.File(tmp_path / "final.h5") as file:
        assert "Parameters" not in file and b"fine_tuning.weights.pt" in file["MadeBy"][()]
    capsys.readouterr()
    drawn = {}
    monkeypatch.setattr(gen_finaltest_answer, "draw_all", lambda *_, **shown: drawn.update(shown))
    gen_finaltest_answer.main([*options, "--details", str(tmp_path / "figures")])
    out = capsys.readouterr().out
    assert pad.distance(drawn["others"]["network"], rows["beta"]) < 1e-3  # the figure of the betas shows both answers
    assert "network fine_tuning.weights.pt" in out and "distance network - likelihood" in out
    assert out.splitlines()[-1].startswith("statistical floor")
