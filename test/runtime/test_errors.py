"""How a stage ends: its exit status, and one line on standard error."""

import errno
import sys
import time
import weakref

import pytest

from util.runtime.errors import InputError, run_program


def raising(error):
    def main():
        raise error

    return main


def test_a_program_that_is_done_returns_and_says_nothing(capsys):
    called = []
    run_program(lambda: called.append(1))
    assert called == [1]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("a.h5: no such file; give another"), 2, "error: a.h5: no such file; give another"),
        (InputError("a.h5: two\nlines"), 2, "error: a.h5: two lines"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "error: No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "b.h5"), 2, "error: Permission denied: b.h5"),
        (
            OSError("file write failed: time = Mon\n, errno = 28"),
            2,
            "error: file write failed: time = Mon , errno = 28",
        ),
        (
            KeyboardInterrupt(),
            130,
            "interrupted: files that were finished are kept; run the same command again to go on",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_the_programs_fault_is_told_in_one_line(capsys, error, status, line):
    with pytest.raises(SystemExit) as ended:
        run_program(raising(error))
    assert ended.value.code == status
    assert capsys.readouterr() == ("", line + "\n")


def test_an_interrupt_that_struck_in_compiled_code_is_still_one(capsys):
    def main():
        try:
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt as interrupt:
                raise SystemError("unpickling") from interrupt
        except SystemError as error:
            raise SystemError("returned a result with an exception set") from error

    with pytest.raises(SystemExit) as ended:
        run_program(main)
    assert ended.value.code == 130
    assert capsys.readouterr().err.startswith("interrupted: ")


def test_an_interrupt_that_a_weak_references_callback_drops_comes_again(capsys):
    class Watched:
        pass

    def interrupt(_):
        raise KeyboardInterrupt

    def main():
        watched = Watched()
        reference = weakref.ref(watched, interrupt)
        del watched
        time.sleep(10)
        assert reference() is None, "the interrupt was lost"

    with pytest.raises(SystemExit) as ended:
        run_program(main)
    assert ended.value.code == 130
    assert capsys.readouterr().err.startswith("interrupted: ")


def test_other_errors_in_a_callback_are_left_to_python(monkeypatch):
    class Watched:
        pass

    def fail(_):
        raise ZeroDivisionError

    def main():
        watched = Watched()
        reference = weakref.ref(watched, fail)
        del watched
        assert reference() is None

    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(unraisable.exc_type))
    run_program(main)
    assert told == [ZeroDivisionError]


def test_a_defect_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_program(raising(ZeroDivisionError()))
    with pytest.raises(SystemError):
        run_program(raising(SystemError()))
    with pytest.raises(ValueError, match="not the user's"):
        run_program(raising(ValueError("not the user's")))
