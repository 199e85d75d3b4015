"""How a network is trained: settings of the file, and what the command line changes."""

import pytest

from support.param import STAGES
from util.runtime.errors import InputError
from util.training.recipe import file_stem


def test_what_is_given_replaces_the_settings_of_the_stage_and_what_is_not_stays():
    changed = STAGES.stage("fine_tuning", {"rate": 1e-3, "epochs": None})
    assert changed.rate == 1e-3 and changed.epochs == STAGES.fine_tuning.epochs


@pytest.mark.parametrize(
    ("stage", "changes", "message"),
    [
        ("fine_tuning", {"arch": "vgg"}, "fine_tuning: expected 'resnet18' or .* at 'arch', found 'vgg'"),
        ("pretraining", {"batch": 1}, "pretraining: batch and first_samples must be at least 2"),
        ("pretraining", {"frozen": 1.5}, "pretraining: expected 0 <= ema < 1, 0 <= frozen <= 1"),
        ("pretraining", {"epochs": 0}, "pretraining: epoch_samples and epochs must be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused_with_the_stage(stage, changes, message):
    with pytest.raises(InputError, match=message):
        STAGES.stage(stage, changes)


def test_files_for_one_sphere_are_named_apart():
    assert file_stem("pretraining", 1) != file_stem("pretraining", 2) == "pretraining"
