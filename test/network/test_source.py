"""Where the samples of a training come from."""

import dataclasses

import pytest
import torch

from src.network.dataset import TRAINING_SET, SamplesMadeBy, read_samples, write_samples
from src.network.sample_files import draw_set
from src.network.source import FileSource, PriorSource
from support.param import INPUT, STAGES, prior_named
from util.runtime.errors import InputError

SETTINGS = STAGES.stage("pretraining", {"batch": 2, "epoch_samples": 6, "first_samples": 5})


def write_set(path, seed=0, inputs=INPUT, prior="fine_tuning"):
    made_by = SamplesMadeBy(prior_named(prior), inputs, "poisson", seed, 8)
    write_samples(path, draw_set(made_by, key=TRAINING_SET, workers=1), made_by)
    return path


def from_files(paths, **changes):
    return FileSource(paths, paths[0], **{"spheres": 2, "batch": 2, "exchange": 1, "seed": 0, **changes})


def from_prior(**changes):
    prior = {"name": "prior", "prior": prior_named("pretraining"), "settings": SETTINGS}
    return PriorSource(**{**prior, "valid": 4, "seed": 0, **changes})


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


def test_the_processes_together_see_the_same_batches_whatever_their_number(tmp_path):
    path = write_set(tmp_path / "0.h5")

    def batches(ranks, batch):
        sources = [from_files([path], batch=batch, rank=rank, ranks=ranks) for rank in range(ranks)]
        assert sum(source.weight(0) for source in sources) == pytest.approx(ranks)
        assert {source.steps(0) for source in sources} == {8 // batch}
        parts = zip(*(betas_of(source, 0) for source in sources), strict=True)
        return [{tuple(beta[0].tolist()) for beta in torch.cat(part)} for part in parts]

    assert batches(1, 4) == batches(2, 4)
    assert batches(1, 7) == batches(2, 7) == batches(3, 7) and len(batches(3, 7)[0]) == 7


def test_a_file_replaced_under_its_name_is_read_anew_and_another_is_not(tmp_path, monkeypatch):
    path, read = write_set(tmp_path / "0.h5"), []
    source = from_files([path], batch=8)
    before = torch.cat(betas_of(source, 0))
    monkeypatch.setattr("src.network.source.read_samples", lambda file: read.append(file) or read_samples(file))
    assert torch.equal(before.sort(0).values, torch.cat(betas_of(source, 1)).sort(0).values) and not read
    write_set(path, seed=1)
    assert not torch.equal(before.sort(0).values, torch.cat(betas_of(source, 1)).sort(0).values)
    assert read == [path]


def test_files_of_both_stages_are_refused_as_a_mixture_and_tell_their_prior_apart(tmp_path):
    paths = [write_set(tmp_path / "fine_tuning_0.h5"), write_set(tmp_path / "pretraining_0.h5", prior="pretraining")]
    assert [from_files([path]).prior for path in paths] == [prior_named("fine_tuning"), prior_named("pretraining")]
    with pytest.raises(InputError, match=r"pretraining_0\.h5: expected samples of one prior, .*mixture"):
        from_files(paths)


def test_fewer_samples_than_processes_are_refused(tmp_path):
    path = write_set(tmp_path / "0.h5")
    with pytest.raises(InputError, match=r"0\.h5: expected at least 2 samples for each of 5 processes, found 8"):
        from_files([path], batch=10, ranks=5)
    with pytest.raises(InputError, match=r"--batch: expected at least 2 samples for each of 2 processes, found 2"):
        from_files([path], ranks=2)
    with pytest.raises(InputError, match=r"--validation: expected at least 1 sample for each of 5 processes, found 4"):
        from_prior(settings=dataclasses.replace(SETTINGS, batch=10), ranks=5)
    with pytest.raises(InputError, match=r"0\.h5: expected at least 1 sample for each of 9 processes, found 8"):
        from_prior(settings=dataclasses.replace(SETTINGS, batch=18), ranks=9, valid=path).validation(INPUT)


def test_a_prior_that_allows_hardly_any_sphere_is_refused_in_a_line():
    prior = prior_named("pretraining")
    wild = dataclasses.replace(prior.spheres[0], mu=(3.0,) * 12, sigma=(0.1,) * 12, limits=((2.0, 4.0),) * 12)
    source = from_prior(prior=dataclasses.replace(prior, spheres=(wild, prior.spheres[1])))
    with pytest.raises(InputError, match="prior: this prior hardly ever gives betas that are a density"):
        source.first_draws(INPUT)


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
