"""Files of tables: what an interrupt leaves of one that is just being opened."""

import h5py
import pytest

from util.runtime.hdf5_tables import writing_tables


def test_an_interrupt_while_the_library_opens_a_file_leaves_nothing_that_complains(tmp_path, monkeypatch, capfd):
    opened, really = [], h5py.File

    def interrupted(*how):
        opened.append(really(*how))
        opened[-1].create_dataset("rows", data=list(range(1000)))
        raise KeyboardInterrupt

    monkeypatch.setattr(h5py, "File", interrupted)
    with pytest.raises(KeyboardInterrupt), writing_tables(tmp_path / "f.h5", {}):
        pass
    opened.pop().close()
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == ""
