"""Sets of matrices that are seen again and again, and exchanged."""

import dataclasses

import pytest
import torch

from src.network.dataset import tensors
from src.network.matrix_source import MatrixSource
from support.param import INPUT, MATRIX_STAGES, prior_named
from util.runtime.errors import InputError
from util.training.matrix_input import MatrixInput

SMALL = {"pixels": 32, "batch": 2, "epoch_samples": 7, "exchange": 2, "first_samples": 5}
SETTINGS = MATRIX_STAGES.stage("pretraining", SMALL)
MATRIX = MatrixInput(32, 12)


def source(**changes):
    given = {"valid": 4, "device": torch.device("cpu"), "seed": 0, **changes}
    return MatrixSource("prior", prior_named("pretraining"), SETTINGS, **given)


def matrices(made, epoch):
    """Return the matrices of an epoch by the first beta of their sample."""
    return {
        beta.item(): matrix
        for inputs, betas in made.batches(MATRIX, epoch)
        for matrix, beta in zip(inputs, betas[:, 0, 0], strict=True)
    }


def test_an_epoch_sees_the_samples_of_its_set_in_an_order_of_its_own_until_the_set_is_exchanged():
    # 8: all fit into full batches.
    settings = dataclasses.replace(SETTINGS, epoch_samples=8)
    made = MatrixSource("prior", prior_named("pretraining"), settings, 4, device=torch.device("cpu"), seed=0)
    first, again, exchanged = (matrices(made, epoch) for epoch in (0, 1, 2))
    assert len(first) == 8 and first.keys() == again.keys() and list(first) != list(again)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert len(exchanged) == 8 and not first.keys() & exchanged.keys()


def test_a_batch_that_is_not_full_is_left_out_unless_it_is_the_only_one():
    assert source().steps(0) == 3 and len(matrices(source(), 0)) == 6
    few = MatrixSource(
        "prior",
        prior_named("pretraining"),
        dataclasses.replace(SETTINGS, batch=16),
        4,
        device=torch.device("cpu"),
        seed=0,
    )
    assert few.steps(0) == 1 and len(matrices(few, 0)) == 7


def test_processes_share_each_batch_and_too_few_samples_for_them_are_refused():
    settings = dataclasses.replace(SETTINGS, batch=5)

    def part(rank, ranks):
        given = {"device": torch.device("cpu"), "seed": 0, "rank": rank, "ranks": ranks}
        return MatrixSource("prior", prior_named("pretraining"), settings, 4, **given)

    whole, *shares = (matrices(part(*which), 0) for which in ((0, 1), (0, 2), (1, 2)))
    assert [len(share) for share in shares] == [3, 2] and not shares[0].keys() & shares[1].keys()
    assert shares[0].keys() | shares[1].keys() == whole.keys() and len(whole) == 5
    assert [part(rank, 2).weight(0) for rank in (0, 1)] == [6 / 5, 4 / 5] and part(0, 2).steps(0) == 1
    with pytest.raises(InputError, match=r"--batch: expected at least 2 samples for each of 3 processes, found 5"):
        part(0, 3)


def test_what_is_validated_on_is_the_same_again_and_never_trained_on():
    inputs, betas = tensors(source().validation(MATRIX))
    again, _ = tensors(source().validation(MATRIX))
    assert inputs.shape == (4, 32, 32) and torch.equal(inputs, again)
    assert not set(betas[:, 0, 0].tolist()) & matrices(source(), 0).keys()
    assert len(source().first_draws(MATRIX).R) == 5


def test_a_prior_of_other_spheres_is_refused():
    with pytest.raises(InputError, match=r"prior: labels: expected \(2, 6\) per sample, found \(2, 12\)"):
        source().validation(MatrixInput(32, 6))
    assert INPUT.betas == 12
