"""Where the samples of a training come from."""

import dataclasses

import pytest
import torch

from src.network.dataset import TRAINING_SET, SamplesMadeBy, write_samples
from src.network.sample_files import draw_set
from src.network.source import FileSource, PriorSource
from support.param import INPUT, STAGES, prior_named
from util.runtime.errors import InputError

SETTINGS = STAGES.stage("pretraining", {"batch": 2, "epoch_samples": 6, "first_samples": 5})


def write_set(path, seed=0, inputs=INPUT):
    made_by = SamplesMadeBy(prior_named("fine_tuning"), inputs, "poisson", seed, 8)
    write_samples(path, draw_set(made_by, key=TRAINING_SET, workers=1), made_by)
    return path


def from_files(paths, **changes):
    return FileSource(paths, paths[0], **{"spheres": 2, "batch": 2, "exchange": 1, "seed": 0, **changes})


def from_prior(**changes):
    return PriorSource("prior", prior_named("pretraining"), SETTINGS, **{"valid": 4, "seed": 0, **changes})


def betas_of(source, epoch):
    return [betas for _, betas in source.batches(INPUT, epoch)]


def test_fresh_samples_are_never_seen_twice():
    def values(rank):
        # two processes: two of each four samples
        settings = dataclasses.replace(SETTINGS, batch=4, epoch_samples=12)
        source = dataclasses.replace(from_prior(), settings=settings, rank=rank, ranks=2)
        assert source.steps(0) == 3
        return [betas[:, 0, 0].tolist() for epoch in (0, 1) for betas in betas_of(source, epoch)]

    one = values(0)
    assert one == values(0)
    assert len({value for batch in one + values(1) for value in batch}) == 24


def test_what_a_prior_is_validated_on_is_drawn_apart_or_read(tmp_path):
    apart = from_prior().validation(INPUT).draws.beta
    seen = torch.cat(betas_of(from_prior(), 0))
    assert len(apart) == 4 and not set(apart[:, 0, 0]) & set(seen[:, 0, 0].tolist())
    read = from_prior(valid=write_set(tmp_path / "valid.h5")).validation(INPUT)
    assert len(read.inputs) == 8


def test_first_samples_come_in_parts_of_which_all_are_drawn(monkeypatch):
    monkeypatch.setattr("src.network.source._FIRST_PART", 2)
    parts = [len(part.inputs) for part in from_prior().first_samples(INPUT)]
    assert parts == [2, 2, 1] and len(from_prior().first_draws(INPUT).R) == 5


def test_files_are_exchanged_and_each_process_takes_its_own_share(tmp_path):
    paths = [write_set(tmp_path / f"{seed}.h5", seed) for seed in (0, 1)]
    shares = [from_files(paths, batch=4, rank=rank, ranks=2) for rank in (0, 1)]
    epochs = [[torch.cat(betas_of(share, epoch)) for share in shares] for epoch in range(3)]
    assert all(len(part) == 4 for epoch in epochs for part in epoch)
    first = [set(torch.cat(epoch)[:, 0, 0].tolist()) for epoch in epochs]
    assert len(first[0]) == 8 and first[0] == first[2] and not first[0] & first[1]
    assert len(shares[0].first_draws(INPUT).R) == 16 and shares[0].files == ("0.h5", "1.h5")


def test_samples_that_do_not_fit_the_network_are_refused_whatever_file_they_are_in(tmp_path):
    paths = [write_set(tmp_path / "0.h5"), write_set(tmp_path / "1.h5", 1, dataclasses.replace(INPUT, n_rho=64))]
    with pytest.raises(InputError, match=r"0\.h5: labels: expected \(1, 12\).*found \(2, 12\); use --spheres 2"):
        betas_of(from_files(paths, spheres=1), 0)
    with pytest.raises(InputError, match=r"1\.h5: inputs: expected \(128, 32\) per sample, found \(64, 32\)"):
        betas_of(from_files(paths), 1)
    narrow = dataclasses.replace(INPUT, beta_mean=INPUT.beta_mean[:6], beta_spread=INPUT.beta_spread[:6])
    for samples in (from_prior().first_draws, from_prior().validation, from_files(paths).validation):
        with pytest.raises(InputError, match=r"labels: expected \(2, 6\) per sample, found \(2, 12\)"):
            samples(narrow)
