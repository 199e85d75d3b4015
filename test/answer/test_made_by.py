"""What an answer was made by: read as it was written, and nothing is told that an answer lacks."""

import dataclasses
import json
from pathlib import Path

from support.answers import MADE_BY
from support.param import prior_named
from util.answer.made_by import MadeBy, UsedNetwork, UsedPrior


def test_all_that_an_answer_was_made_by_is_read_as_it_was_written():
    made_by = dataclasses.replace(
        MADE_BY,
        orders=(20, 24),
        prior=UsedPrior("prior.toml", ((0.1, 0.2),), ((0.01, 0.02),), 0.5),
        weights="fine_tuning.weights.pt",
        network=UsedNetwork("fine_tuning", "resnet34", 0, 38_400, prior_named("fine_tuning")),
    )
    assert MadeBy.from_json(made_by.to_json(), Path("final.h5")) == made_by


def test_what_an_answer_lacks_is_left_out_and_keys_are_in_alphabetical_order():
    content = json.loads(MADE_BY.to_json())
    assert list(content) == ["settings", "shards", "source", "versions"]
    assert list(content["settings"]) == sorted(field.name for field in dataclasses.fields(MADE_BY.settings))
    assert content["settings"]["prior"] is None
