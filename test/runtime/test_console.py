"""How much a stage says, on which stream."""

import pytest

from util.runtime import console
from util.runtime.options import Parser


@pytest.mark.parametrize(
    ("options", "expected"),
    [([], ["usual", "last"]), (["--quiet"], ["last"]), (["--verbose"], ["usual", "every", "last"])],
)
def test_options_choose_what_is_said_and_travel_no_further(capsys, options, expected):
    assert vars(Parser("some.sh", None).parse_args(options)) == {}
    console.say("usual")
    console.detail("every")
    console.conclude("last")
    console.warn("beware")
    out, err = capsys.readouterr()
    assert out.splitlines() == expected
    assert err == "warning: beware\n"


def test_what_one_stage_was_told_does_not_hold_for_the_next():
    Parser("one.sh", None).parse_args(["--quiet"])
    Parser("two.sh", None).parse_args([])
    assert console.chosen() is console.Level.USUAL


def test_one_cannot_be_quiet_and_verbose(capsys):
    with pytest.raises(SystemExit):
        Parser("some.sh", None).parse_args(["--quiet", "--verbose"])
    assert "not allowed with" in capsys.readouterr().err
