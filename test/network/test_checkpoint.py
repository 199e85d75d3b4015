"""Files of tensors and facts: checkpoints, and the weights that are released."""

import dataclasses
import json

import pytest
import torch

from src.network.checkpoint import check_same, read_checkpoint, write_checkpoint
from src.network.model import SphereNet
from src.network.weights import half, read_weights
from support.networks import facts_of, write_weights
from support.param import INPUT, PARAM, prior_named
from support.training import saved
from util.runtime.errors import InputError
from util.runtime.facts import to_json, unstructure
from util.training.released import Manifest, read_manifest

FACTS = facts_of(prior_named("pretraining"))


class Trap:
    """Would run code when it is unpickled."""

    def __reduce__(self):
        return print, ("code was run",)


def test_a_checkpoint_is_read_back_and_code_in_one_is_never_run(tmp_path, capsys):
    write_checkpoint(tmp_path / "good.pt", {"a": torch.arange(3)}, FACTS)
    tensors, facts = saved(tmp_path / "good.pt")
    assert tensors["a"].tolist() == [0, 1, 2] and facts == FACTS
    torch.save({"tensors": Trap(), "facts": "{}"}, tmp_path / "bad.pt")
    with pytest.raises(InputError, match=r"bad\.pt: expected a checkpoint"):
        saved(tmp_path / "bad.pt")
    (tmp_path / "bad.pt").write_bytes(b"short")
    with pytest.raises(InputError, match=r"bad\.pt: expected a checkpoint"):
        saved(tmp_path / "bad.pt")
    assert "code was run" not in capsys.readouterr().out


def test_facts_of_another_program_are_refused_with_the_remedy(tmp_path):
    torch.save({"tensors": {}, "facts": '{"epoch": 2}'}, tmp_path / "other.pt")
    with pytest.raises(InputError, match=r"other\.pt: key '\w+' is missing; train anew"):
        saved(tmp_path / "other.pt")
    with pytest.raises(InputError, match=r"none\.pt: no such checkpoint; train one with script/run_model\.sh"):
        read_checkpoint(Manifest, tmp_path / "none.pt", maker="run_model.sh", remedy="")


def test_a_checkpoint_of_another_training_is_refused_with_what_differs(tmp_path):
    check_same(tmp_path / "a.pt", FACTS, seed=0, spheres=2)
    with pytest.raises(InputError, match=r"a\.pt: expected a checkpoint of the same spheres, .*--restart"):
        check_same(tmp_path / "a.pt", FACTS, seed=0, spheres=1)


def test_weights_come_back_as_they_were_but_for_half_precision_and_broken_ones_are_refused(tmp_path):
    net = SphereNet("resnet18", 2, INPUT, torch.full((2, 12), 0.3), torch.full((2, 12), 0.1))
    found, facts = read_weights(write_weights(tmp_path / "a.weights.pt", net, FACTS))
    assert facts == FACTS
    for name, value in found.state_dict().items():
        assert torch.equal(value, half(net.state_dict())[name].to(value.dtype)), name
    other = dataclasses.replace(FACTS, arch="resnet34")
    with pytest.raises(InputError, match=r"b\.weights\.pt: expected weights of this program's network"):
        read_weights(write_weights(tmp_path / "b.weights.pt", net, other))
    torch.nn.init.constant_(net.shortcut.bias, float("nan"))
    with pytest.raises(InputError, match=r"c\.weights\.pt: expected .* found none \(tensors that are not finite\)"):
        read_weights(write_weights(tmp_path / "c.weights.pt", net, FACTS))


def leaves(content, place=()):
    """Values of nested dicts and lists by their place."""
    if not isinstance(content, dict | list | tuple):
        return {place: content}
    parts = content.items() if isinstance(content, dict) else enumerate(content)
    return {deeper: leaf for key, part in parts for deeper, leaf in leaves(part, (*place, key)).items()}


def test_the_released_manifest_and_weights_tell_what_they_say_and_nothing_else():
    content = json.loads((PARAM / "weights.json").read_text())
    manifest = read_manifest(PARAM / "weights.json")
    told, read = leaves(content), leaves(unstructure(manifest))
    assert {place: read.get(place) for place in told} == told
    # What came after they were released has a default.
    later = {"window", "first_samples", "batch_of", "reference", "optimiser", "shortcut", "pixels", "exchange"}
    assert {place[-1] for place in read.keys() - told.keys()} <= later
    for file in manifest.files:
        net, facts = read_weights(PARAM / file.name)
        assert facts.curve == file.curve and facts.prior == file.prior and net.arch == file.arch


def test_a_manifest_that_leads_elsewhere_is_refused(tmp_path):
    manifest = json.loads(to_json(read_manifest(PARAM / "weights.json")))
    for key, value, message in (
        ("name", "../evil", r"files\[0\]: expected the name of a file, found '../evil'"),
        ("sha256", "0", r"files\[0\]: pretraining\.weights\.pt: expected 64 digits"),
        ("bytes", "many", r"expected an integer at 'files\[0\]\.bytes'"),
    ):
        wrong = {**manifest, "files": [{**manifest["files"][0], key: value}]}
        (tmp_path / "weights.json").write_text(json.dumps(wrong))
        with pytest.raises(InputError, match=message + r".*restore it from git"):
            read_manifest(tmp_path / "weights.json")
