"""What the answer stage does beyond the fit, through the stage: knowledge, the finder's bias, other answers."""

import h5py
import numpy as np
import pytest

from src import gen_finaltest_answer, gen_finaltest_npy, simulate_finaltest
from src.answer_steps import bias_and_bootstrap
from src.answer_steps.options import Simulation
from support import ROOT
from support.answers import answer, parameters, result_of
from support.figures import saved_figures
from support.truth import DESIGN
from util.answer.final_h5 import read_answer, read_made_by
from util.answer.finder_bias import FinderBias
from util.electrons.hits import read_hits
from util.electrons.shards import list_shards, read_shard
from util.frames.course_file import FrameFile
from util.physics import pad
from util.runtime.errors import InputError
from util.runtime.executor import open_executor
from util.simulation.truth_tables import read_detected_electrons

FRAMES = 150
PRIOR = ROOT / "param" / "fine_tuning.toml"


def open_answer(path):
    with h5py.File(path) as file:
        return {name: (file[name][()], dict(file[name].attrs)) for name in file}


@pytest.fixture(scope="module")
def searched(module_folder):
    """Return a folder with finaltest.h5, 150 frames of the final test's spheres, and their shards."""
    folder = module_folder("searched")
    param = ["--phosphor", str(ROOT / "param" / "phosphor.toml")]
    frames, shards = str(folder / "finaltest.h5"), str(folder / "shards")
    experiment = ["--experiment", str(ROOT / "param" / "experiment.toml"), "--frames", str(FRAMES), "--seed", "6"]
    simulate_finaltest.main([*param, *experiment, "--output", frames, "--workers", "1"])
    finder = ["--finder", str(ROOT / "param" / "finder.toml")]
    gen_finaltest_npy.main([*param, *finder, "--finaltest", frames, "--output", shards, "--workers", "1"])
    return folder


def test_orders_that_the_data_do_not_support_are_fixed_at_zero(run_folder, tmp_path):
    options = ("--orders", "auto", "--finaltest", run_folder / "finaltest.h5")
    printed = answer(run_folder / "shards", tmp_path / "final.h5", *options)
    found = open_answer(tmp_path / "final.h5")
    orders = read_made_by(tmp_path / "final.h5").orders
    assert f"degrees up to {orders[0]} and {orders[1]}" in printed
    beta = read_answer(tmp_path / "final.h5")["beta"]
    assert min(orders) >= 12 and min(orders) < 24
    for row, order in zip(beta, orders, strict=True):
        assert np.all(row[order // 2 :] == 0) and row[order // 2 - 1] != 0
    fixed = [line.split() for line in printed.splitlines() if line.split()[2:3] == ["fixed"]]
    assert len(fixed) == sum(12 - order // 2 for order in orders)
    assert np.count_nonzero(found["Unrefined"][0]["Value"]) == len(found["Parameters"][0])
    assert "finder's bias not measured: the shards do not say with what detector" in printed


def test_a_prior_narrows_the_errors_and_tells_what_unsupported_orders_are_worth(run_folder, tmp_path, capsys):
    options = ("--orders", "auto", "--prior", PRIOR)
    printed = answer(run_folder / "shards", tmp_path / "final.h5", *options)
    found = open_answer(tmp_path / "final.h5")
    before, after = found["Unrefined"][0], found["Parameters"][0]
    betas = np.array([name.startswith(b"beta") for name in after["Name"]])
    assert np.all(after["Error"][betas] < before["Error"][betas])
    assert after["Error"][np.flatnonzero(betas)[11]] < 0.0101  # sigma of beta_24 in the prior
    rows = found["Unsupported"][0]
    assert 0 < len(rows) < 14
    assert np.all((rows["ShareOfData"] > 0) & (rows["ShareOfData"] < 1))
    assert np.allclose(rows["ShareOfData"], 1 - (rows["TogetherError"] / rows["PriorSigma"]) ** 2)
    assert f"{rows[0]['Name'].decode()} " in printed
    assert np.all(read_answer(tmp_path / "final.h5")["beta"] != 0)
    assert "rms distance" in printed and "contradict" not in capsys.readouterr().err


def test_a_prior_that_the_data_contradict_is_named(run_folder, tmp_path, capsys):
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(PRIOR.read_text().replace("mu = [0.1629,", "mu = [5.0,"))
    answer(run_folder / "shards", tmp_path / "final.h5", "--prior", wrong)
    assert f"the data contradict the prior {wrong}" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"fine_tuning\.toml: expected 1 sphere\(s\) of at least 12 betas"):
        answer(run_folder / "shards", tmp_path / "one.h5", "--prior", PRIOR, "--spheres", 1)
    assert not (tmp_path / "one.h5").exists()


@pytest.fixture(scope="module")
def measured(searched, module_folder):
    """Return final.h5, what was printed, and the figures of an answer with everything simulated, from 150 frames."""
    path = module_folder("measured") / "final.h5"
    options = ("--finaltest", searched / "finaltest.h5", "--order", 12, "--check-integrated", "--bootstrap", 2)
    with saved_figures(whole=False) as figures:
        printed = answer(searched / "shards", path, *options, "--details", path.parent / "figures")
    return path, printed, figures


def test_the_finders_bias_stands_beside_the_statistical_error(measured):
    path, printed, _ = measured
    rows, attributes = open_answer(path)["FinderBias"]
    assert attributes["frames"] == 400
    assert rows["Name"].tolist() == [name.encode() for name in parameters(path)]
    head, *lines = printed.splitlines()[1 : 2 + len(rows)]
    columns = ["parameter", "value", "error", "floor", "finder", "known", "to", "1", "%", "uneven", "truth", "pull"]
    assert head.split() == columns
    for line, row in zip(lines, rows, strict=True):
        words = line.split()
        wanted = ["-", "-"] if row["Error"] == 0 else [f"{row['Bias']:.6f}", f"{row['Error']:.6f}"]
        assert words[4:6] == wanted
    # The finder is good: at these spheres its bias is well below the error of 150 frames.
    betas = [i for i, row in enumerate(rows) if row["Name"].startswith(b"beta")]
    errors = np.array([row["Error"] for row in parameters(path).values()])
    assert np.abs(rows["Bias"][betas] / errors[betas]).max() < 0.6
    verdict = "subtracted" if attributes["subtracted"] else "not subtracted"
    assert f"from 400 simulated frames: p = {attributes['p']:.2g}, {verdict}" in printed
    assert attributes["subtracted"] == (attributes["p"] < 0.01)


def test_a_clear_bias_is_subtracted_and_its_error_added_unless_it_is_to_be_left(measured, searched, tmp_path):
    options = ("--order", 12, "--bias", 400, "--subtract-bias", "never")
    answer(searched / "shards", tmp_path / "never.h5", *options)
    never, clear = open_answer(tmp_path / "never.h5"), open_answer(measured[0])
    bias = never["FinderBias"][0]
    assert np.array_equal(bias, clear["FinderBias"][0])
    before, after = never["Parameters"][0], clear["Parameters"][0]
    assert np.allclose(before["Value"] - after["Value"], bias["Bias"], rtol=1e-6, atol=1e-12)
    assert np.allclose(after["Error"] ** 2, before["Error"] ** 2 + bias["Error"] ** 2)
    assert np.allclose(before["Value"][1], never["Answer"][0]["R"][0])
    assert (never["FinderBias"][1]["subtracted"], clear["FinderBias"][1]["subtracted"]) == (False, True)


@pytest.mark.parametrize(
    ("subtract_bias", "offset", "wanted"),
    [("clear", 9.0, True), ("clear", 0.1, False), ("never", 9.0, False), ("always", 0.1, True)],
)
def test_a_bias_is_subtracted_where_it_is_clear_or_as_told(searched, monkeypatch, subtract_bias, offset, wanted):
    result = result_of()
    bias = FinderBias(result.layout, np.full(len(result.names), offset), np.eye(len(result.names)), 400, 1)
    monkeypatch.setattr(bias_and_bootstrap, "measure_bias", lambda *_, **__: bias)
    monkeypatch.setattr(bias_and_bootstrap, "subtract", lambda result, measured: (result, "less", measured))
    hits = read_hits(searched / "shards", hit_weights="flux", partial=False)
    options = Simulation(subtract_bias=subtract_bias)
    with open_executor(1) as executor:
        done = bias_and_bootstrap.without_bias(result, hits, options, hit_weights="flux", executor=executor)
    assert done.answer == ((result, "less", bias) if wanted else result)
    assert (done.further is not None) == wanted == done.tables["FinderBias"].attributes["subtracted"]


def test_a_bias_that_cannot_be_measured_is_refused_before_the_fit(run_folder, tmp_path, monkeypatch):
    monkeypatch.delattr(gen_finaltest_answer, "fit_hits")
    for options in (("--bias", 1000), ("--bootstrap", 2)):
        with pytest.raises(InputError, match="the shards do not say with what detector they were made"):
            answer(run_folder / "shards", tmp_path / "other.h5", *options)
    assert not (tmp_path / "other.h5").exists()


def test_a_bootstrap_is_compared_with_the_errors_and_kept(measured):
    path, printed, _ = measured
    drawn, attributes = open_answer(path)["Bootstrap"]
    assert drawn.shape == (2, len(parameters(path)))
    assert list(attributes["columns"]) == list(parameters(path))
    assert np.ptp(drawn, axis=0).all()
    assert f"bootstrap of 2 measurements of {FRAMES} frames" in printed


def test_the_summed_frames_agree_with_the_hits(measured):
    path, printed, _ = measured
    rows, attributes = open_answer(path)["Integrated"]
    assert "summed frames, without hits: they agree" in printed
    assert attributes["p"] > 1e-3
    hits = parameters(path)
    apart = [(row["Value"] - hits[row["Name"].decode()]["Value"]) / row["Error"] for row in rows]
    named = [row["Name"].startswith((b"R_", b"beta")) for row in rows]
    assert 0.01 < np.sqrt(np.mean(np.square(apart)[named])) < 1.5


def test_a_frame_is_shown_with_its_hits(measured, searched):
    ax = measured[2]["frame"].axes[1]
    with FrameFile(searched / "finaltest.h5") as frames:
        assert np.array_equal(ax.images[0].get_array(), frames.read(0).T)
    shard = read_shard(list_shards(searched / "shards")[0])
    found = shard.events[shard.events["ImageId"] == 0]
    shown = {line.get_label(): line.get_xydata() for line in ax.lines}
    true = shown.pop("where an electron truly was")
    assert len(found) > 50
    places = np.concatenate(list(shown.values()))
    assert sorted(places.tolist()) == sorted(np.stack((found["x"], found["z"]), axis=1).tolist())
    electrons = read_detected_electrons(searched / "finaltest.h5")
    electrons = electrons[electrons["ImageId"] == 0]
    assert true.tolist() == np.stack((electrons["x"], electrons["z"]), axis=1).tolist()
    # What is found lies where electrons are: the two are drawn in the same units.
    nearest = np.sqrt(((places[:, None] - true) ** 2).sum(axis=-1)).min(axis=1)
    assert np.median(nearest) < 0.002


def test_the_summed_frames_answer_without_any_shards(searched, tmp_path):
    options = ("--method", "integrated", "--finaltest", searched / "finaltest.h5", "--order", 12, "--nonnegative")
    with saved_figures(whole=False):
        printed = answer(tmp_path / "no shards", tmp_path / "final.h5", *options, "--details", tmp_path / "figures")
    rows = read_answer(tmp_path / "final.h5")
    assert rows["R"] == pytest.approx([s.R for s in DESIGN], abs=0.002)
    assert pad.is_density(rows["beta"]).all()
    found = parameters(tmp_path / "final.h5")
    for s, sphere in enumerate(DESIGN, 1):
        assert abs(found[f"R_{s}"]["Value"] - sphere.R) < 4.5 * found[f"R_{s}"]["Error"]
    assert printed.splitlines()[-1].startswith("distance ")
    assert "11 tests of the fit, none failed" in printed
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"pads.png", "radial_spectrum.png", "answer.json"} <= drawn
    with pytest.raises(InputError, match="expected the file of the frames, found none"):
        answer(tmp_path, tmp_path / "other.h5", "--method", "integrated")


def test_a_check_without_frames_or_events_is_refused_before_the_fit(run_folder, tmp_path, monkeypatch):
    monkeypatch.delattr(gen_finaltest_answer, "fit_hits")
    with pytest.raises(InputError, match="--check-integrated: expected the file of the frames, found none"):
        answer(run_folder / "shards", tmp_path / "final.h5", "--check-integrated")


def test_frames_of_any_format_give_every_answer(searched, tmp_path):
    """A detector's own file: two stacks of sixteen bits, of which one is meant, with a hot pixel."""
    path = tmp_path / "detector.h5"
    with FrameFile(searched / "finaltest.h5") as frames, h5py.File(path, "w") as file:
        stack = np.stack([frame for _, frame in frames.rows()])[:, ::2, ::2].astype(np.uint16) * 40
        stack[:, 100, 200] = 9000
        file.create_dataset("run/camera", data=stack, chunks=(1, 512, 512), compression="gzip", compression_opts=1)
        file["run/dark"] = np.zeros((3, 512, 512), np.uint16)
    finder = ["--finder", str(ROOT / "param" / "finder.toml"), "--phosphor", str(ROOT / "param" / "phosphor.toml")]
    options = ["--finaltest", str(path), "--output", str(tmp_path / "shards"), "--workers", "1"]
    gen_finaltest_npy.main([*finder, *options, "--dataset", "run/camera"])
    # Of few orders, which do not describe the electrons, the two would answer by their own weights.
    options = ("--finaltest", path, "--order", 12, "--bias", 0, "--details", tmp_path / "figures")
    with saved_figures(whole=False) as figures:
        printed = answer(tmp_path / "shards", tmp_path / "final.h5", *options, "--check-integrated")
    assert "they agree" in printed and "finder's bias" not in printed
    assert np.array_equal(figures["frame"].axes[1].images[0].get_array(), stack[0].T)
    summed = ("--method", "integrated", "--finaltest", path, "--order", 6)
    assert "hot pixels: 1" in answer(tmp_path, tmp_path / "sum.h5", *summed, "--dataset", "run/camera")
    for name in ("final.h5", "sum.h5"):
        assert read_answer(tmp_path / name)["R"] == pytest.approx([s.R for s in DESIGN], abs=0.003)
    with pytest.raises(InputError, match="name the one to take with --dataset"):
        answer(tmp_path, tmp_path / "sum.h5", *summed)
