"""The check before the search: every check is printed where it is asked for, the clear ones before a search."""

from src import check_frames
from support.param import FINDER
from support.searches import names, run
from util.electrons.shards import read_facts
from util.finder import real_detector
from util.finder.afterglow import Afterglow

GLOWS = Afterglow(0.1, 0.001, (0.1,))


def test_every_check_is_printed_and_drawn_and_the_clear_ones_marked(small_frames, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(real_detector, "learn_afterglow", lambda *_: GLOWS)
    check_frames.main(["--finaltest", str(small_frames), *map(str, FINDER), "--figures", str(tmp_path)])
    assert names(tmp_path) == ["detector.pdf", "detector.png"]
    lines = capsys.readouterr().out.splitlines()
    assert "! afterglow: 10.00(10) % of the last frame's light; would move beta_2 by up to 0.02; subtracted" in lines
    checks = [line.partition(":")[0] for line in lines[3:-2]]
    assert {"  response", "  gain over the screen", "  aspect of the spots", "  pulse heights"} <= set(checks)
    assert {"  order of ImageId", "  clipping", "  drift of the rate of hits"} <= set(checks)
    assert lines[-2] == f"figure {tmp_path / 'detector.png'}"
    assert lines[-1].startswith(f"{small_frames}: {len(checks)} checks, ")


def test_the_search_prints_what_is_clear(small_frames, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(real_detector, "learn_afterglow", lambda *_: GLOWS)
    run(small_frames, tmp_path, "--range", 0, 3)
    said = capsys.readouterr().out
    assert "! afterglow: 10.00(10) %" in said
    assert "order of ImageId" not in said


def test_a_search_without_checks_takes_the_detector_for_an_ideal_one(small_frames, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(real_detector, "learn_afterglow", lambda *_: GLOWS)
    run(small_frames, tmp_path, "--range", 0, 3, "--check", "no")
    assert "afterglow" not in capsys.readouterr().out
    assert names(tmp_path) == ["final_0_3.npz"]
    search = read_facts(tmp_path / "final_0_3.npz").settings
    assert search.spots == "ideal"
    assert search.detector.imperfections.afterglow == ()
