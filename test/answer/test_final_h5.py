"""final.h5, written and read back, and files that are none."""

import re
from dataclasses import replace

import h5py
import numpy as np
import pytest

from support.answers import MADE_BY, result_of
from util.answer.final_h5 import (
    ANSWER_DTYPE,
    answer_rows,
    read_answer,
    read_made_by,
    read_tables,
    table,
    write_answer,
    write_tables,
)
from util.answer.tables import Axis, Table
from util.fit.systematics import Systematics
from util.physics.sphere import Sphere
from util.runtime.errors import InputError
from util.runtime.program import version


def test_the_answer_is_read_back_as_it_was_written(tmp_path):
    result = result_of()
    write_answer(tmp_path / "new" / "final.h5", result, MADE_BY)
    rows = read_answer(tmp_path / "new" / "final.h5")
    assert rows.dtype == np.dtype([("SphereId", "u1"), ("R", "<f8"), ("beta", "<f8", (12,))])
    assert rows["SphereId"].tolist() == [0, 1]
    assert np.array_equal(rows["R"], result.R)
    assert np.array_equal(rows["beta"], result.beta)


def test_all_of_the_fit_is_in_the_file(tmp_path):
    result = result_of()
    write_answer(tmp_path / "final.h5", result, MADE_BY)
    with h5py.File(tmp_path / "final.h5") as file:
        assert np.array_equal(file["AnswerField"]["beta"], 2 * result.beta)
        assert np.array_equal(file["Parameters"]["Value"], result.values)
        assert np.array_equal(file["Parameters"]["Error"], result.errors)
        assert np.allclose(file["Parameters"]["Floor"], 0.9 * result.errors)
        assert [name.decode() for name in file["Parameters"]["Name"]] == list(result.names)
        assert np.array_equal(file["Covariance"], result.covariance)
        assert np.array_equal(file["FloorCovariance"], result.floor_covariance)
        assert np.array_equal(file["Centre"], result.centre)
        assert file["Goodness"][0].tolist() == (1234.5, 1200, 17.0)
    assert read_made_by(tmp_path / "final.h5") == MADE_BY


def test_every_dataset_says_what_it_holds_and_its_axes_are_labelled(tmp_path):
    result = result_of()
    write_answer(tmp_path / "final.h5", result, MADE_BY, warnings=["look out"])
    with h5py.File(tmp_path / "final.h5") as file:
        assert [name for name in file if not file[name].attrs.get("description")] == []
        parameters = file["Parameters"]
        assert parameters.attrs["units"][:4].tolist() == ["electrons", "half screens", "half screens", "1"]
        assert parameters.attrs["units"].shape == parameters.shape
        for name in ("Covariance", "FloorCovariance"):
            labels = [axis[0].asstr()[()].tolist() for axis in file[name].dims]
            assert labels == [list(result.names)] * 2
        assert file["Answer"].dims[0][0][()].tolist() == [1, 2]
        assert "SphereId 0 is sphere 1" in file["Answer"].attrs["SphereId"]
        assert file.attrs["method"] == "likelihood"
        assert file.attrs["program"] == version()
    tables = read_tables(tmp_path / "final.h5")
    assert set(tables) >= {"Answer", "Covariance", "Warnings"}
    assert set(tables) & {"parameter", "parameter_2", "sphere", "MadeBy"} == set()
    assert set(tables["Covariance"].attributes) == {"description", "units", "axes"}


def test_a_table_that_is_labelled_otherwise_has_an_axis_of_its_own(tmp_path):
    labels = {"here": ("a",), "there": ("b",), "again": ("a",), "counted": np.arange(1, 2, dtype=np.int32)}
    tables = {name: Table(np.zeros(1), "zero", axes=[Axis("place", own)]) for name, own in labels.items()}
    write_tables(tmp_path / "final.h5", tables, MADE_BY, ())
    with h5py.File(tmp_path / "final.h5") as file:
        names = {name: file[name].attrs["axes"].tolist() for name in labels}
        own = ["place_of_there"], ["place"], ["place_of_counted"]
        assert names == dict(zip(labels, (["place"], *own), strict=True))
        assert {name: file[name].dims[0].label for name in labels} == {name: axes[0] for name, axes in names.items()}
        assert file["there"].dims[0][0].asstr()[()].tolist() == ["b"]


def test_the_same_answer_is_the_same_bytes(tmp_path):
    for name in ("a.h5", "b.h5"):
        write_answer(tmp_path / name, result_of(), MADE_BY)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_rows_stand_in_the_order_of_R_whatever_order_they_came_in():
    beta = np.arange(36.0).reshape(3, 12)
    rows = answer_rows(np.array([0.8, 0.3, 0.5]), beta)
    assert rows["SphereId"].tolist() == [0, 1, 2]
    assert rows["R"].tolist() == [0.3, 0.5, 0.8]
    assert np.array_equal(rows["beta"], beta[[1, 2, 0]])


def test_betas_that_were_not_fitted_are_zero():
    rows = answer_rows(np.array([0.5]), np.full((1, 3), 0.25))
    assert rows["beta"].tolist() == [[0.25] * 3 + [0.0] * 9]


@pytest.mark.parametrize("betas", [12, 3])
def test_a_table_pulls_are_distances_from_the_truth_in_errors(betas):
    result = result_of(betas=betas)
    truth = [Sphere(R - 0.01, 0.02, 5, (0.05, 0.06)) for R in result.R]
    lines = table(result, truth).splitlines()
    assert len(lines) == len(result.names) + 2  # head and legend
    words = {line.split()[0]: line.split() for line in lines}
    beta = result.names.index("beta_4_2")
    assert float(words["beta_4_2"][1]) == pytest.approx(result.values[beta], abs=1e-6)
    assert float(words["beta_4_2"][4]) == 0.06
    pull = (result.values[beta] - 0.06) / result.errors[beta]
    assert float(words["beta_4_2"][5]) == pytest.approx(pull, abs=0.006)
    assert float(words["R_1"][4]) == 0.39
    assert len(words["beta_6_1"]) == len(words["N_1"]) == len(words["centre_x"]) == 4
    assert "pull" not in table(result, None)
    unseen = Systematics(result.layout, result.errors, np.full(len(result.names), 0.0125), result.errors)
    beside = {line.split()[0]: line.split() for line in table(result, None, systematics=unseen).splitlines()}
    assert float(beside["beta_4_2"][4]) == 0.0125
    assert table(result, None, systematics=replace(unseen, efficiency=None)) == table(result, None)


def write_nothing(path):
    pass


def write_text(path):
    path.write_text("no answer")


def write_part(path):
    write_answer(path, result_of(), MADE_BY)
    path.write_bytes(path.read_bytes()[:-200])


def write_other(path):
    with h5py.File(path, "w") as file:
        file["Parameters"] = [1.0]


def write_empty(path):
    h5py.File(path, "w").close()


def write_group(path):
    with h5py.File(path, "w") as file:
        file.create_group("Answer")


def write_floats(path):
    with h5py.File(path, "w") as file:
        file["Answer"] = np.zeros((2, 13))


def write_few_betas(path):
    with h5py.File(path, "w") as file:
        file["Answer"] = np.zeros(2, [("SphereId", "u1"), ("R", "<f8"), ("beta", "<f8", (4,))])


def write_single_row(path):
    with h5py.File(path, "w") as file:
        file["Answer"] = np.zeros((), ANSWER_DTYPE)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_nothing, "no such file; make it with script/gen_finaltest_answer.sh"),
        (write_text, "expected an HDF5 file, found one that begins with b'no answe'"),
        (write_part, "expected a whole HDF5 file, found one cut short"),
        (write_other, "expected a dataset Answer, found Parameters; make it with"),
        (write_empty, "expected a dataset Answer, found an empty file; make it with"),
        (write_group, "expected a dataset Answer, found Answer; make it with"),
        (write_floats, "Answer: expected rows of"),
        (write_few_betas, "Answer: expected rows of"),
        (write_single_row, "Answer: expected rows of"),
    ],
)
def test_a_file_that_holds_no_answer_is_refused(tmp_path, write, message):
    path = tmp_path / "final.h5"
    write(path)
    with pytest.raises(InputError, match=re.escape(f"{path}: {message}")) as told:
        read_answer(path)
    assert "\n" not in str(told.value)


def with_made_by(path, **datasets):
    write_answer(path, result_of(), MADE_BY)
    with h5py.File(path, "r+") as file:
        del file["MadeBy"]
        for name, value in datasets.items():
            file[name] = value


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ({}, "expected a dataset MadeBy, found Answer, AnswerField"),
        ({"MadeBy": [1.0, 2.0]}, "MadeBy: expected a text, found shape (2,) of float64"),
        ({"MadeBy": "{"}, "MadeBy: expected JSON, found none"),
        ({"MadeBy": "{}"}, "MadeBy: key 'settings' is missing"),
        ({"MadeBy": MADE_BY.to_json().replace("24", "true")}, "MadeBy: expected an integer at 'settings.order', found"),
        ({"MadeBy": MADE_BY.to_json().replace("likelihood", "guess")}, "MadeBy: expected 'likelihood' or 'resnet' or "),
    ],
)
def test_what_does_not_say_what_made_the_answer_is_refused(tmp_path, datasets, message):
    path = tmp_path / "final.h5"
    with_made_by(path, **datasets)
    with pytest.raises(InputError, match=re.escape(f"{path}: {message}")) as told:
        read_made_by(path)
    assert "\n" not in str(told.value) and "script/gen_finaltest_answer.sh" in str(told.value)
