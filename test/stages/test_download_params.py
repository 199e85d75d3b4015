"""Fetching released weights from a web server on this machine."""

import http.server
import json
import shutil
import threading

import pytest

from src import download_params
from src.network.checkpoint import write_checkpoint
from src.release_weights import main as release
from support.networks import facts_of
from support.param import prior_named
from util.runtime.errors import InputError


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves files of a folder, and ranges of them; notes what was asked for."""

    def do_GET(self):
        content = (self.server.folder / self.path.strip("/")).read_bytes()
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.server.starts.append(start)
        self.send_response(206 if start else 200)
        self.end_headers()
        self.wfile.write(content[start:])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    """Serve two released files of weights; yields the server, which knows its address."""
    import torch

    folder = tmp_path / "served"
    folder.mkdir()
    facts = facts_of(prior_named("pretraining"))
    for seed, name in enumerate(("a.weights.pt", "b.weights.pt")):
        generator = torch.Generator().manual_seed(seed)
        write_checkpoint(folder / name, {"x": torch.rand(5_000_000, generator=generator)}, facts)
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.folder, found.starts = folder, []
    found.address = f"http://127.0.0.1:{found.server_port}"
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def manifest_of(server, tmp_path, *options):
    """Release the files; return the manifest as it comes with the program, without the files."""
    released = tmp_path / "released" / "weights.json"
    files = [str(server.folder / name) for name in ("a.weights.pt", "b.weights.pt")]
    release(["--weights", *files, "--manifest", str(released), "--base", server.address, "--reference", "0", *options])
    path = tmp_path / "param" / "weights.json"
    path.parent.mkdir(exist_ok=True)
    shutil.copy(released, path)
    return path


def fetch(tmp_path, *options):
    download_params.main(["--param", str(tmp_path / "param"), *options])


def test_files_are_fetched_once_and_named_with_their_distance_in_the_manifest(server, tmp_path, capsys):
    manifest = json.loads(manifest_of(server, tmp_path).read_text())
    assert [entry["validation_distance"] for entry in manifest["files"]] == [0.01, 0.01]
    fetch(tmp_path)
    for name in ("a.weights.pt", "b.weights.pt"):
        assert (tmp_path / "param" / name).read_bytes() == (server.folder / name).read_bytes()
    fetch(tmp_path)
    assert capsys.readouterr().out.count("already there") == 2 and len(server.starts) == 2


def test_a_fetch_goes_on_with_what_is_there_already(server, tmp_path):
    manifest_of(server, tmp_path)
    content = (server.folder / "a.weights.pt").read_bytes()
    (tmp_path / "param" / "a.weights.pt.download").write_bytes(content[:1_000_000])
    fetch(tmp_path)
    assert server.starts == [1_000_000, 0]
    assert (tmp_path / "param" / "a.weights.pt").read_bytes() == content


def test_a_wrong_file_is_refused_and_not_kept(server, tmp_path):
    manifest_of(server, tmp_path)
    content = bytearray((server.folder / "a.weights.pt").read_bytes())
    content[500] ^= 1
    (server.folder / "a.weights.pt").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.weights\.pt: expected SHA-256 \w+, found another"):
        fetch(tmp_path)
    assert [path.name for path in (tmp_path / "param").iterdir()] == ["weights.json"]


def test_a_file_cut_short_is_refused_and_can_be_gone_on_with(server, tmp_path):
    manifest_of(server, tmp_path)
    content = (server.folder / "a.weights.pt").read_bytes()
    (server.folder / "a.weights.pt").write_bytes(content[:-100])
    with pytest.raises(InputError, match="run again to go on"):
        fetch(tmp_path)
    (server.folder / "a.weights.pt").write_bytes(content)
    fetch(tmp_path)
    assert (tmp_path / "param" / "a.weights.pt").read_bytes() == content


def test_parts_under_16_megabytes_are_joined(server, tmp_path):
    manifest = json.loads(manifest_of(server, tmp_path, "--parts", str(server.folder)).read_text())
    assert [len(entry["parts"]) for entry in manifest["files"]] == [2, 2]
    assert all(part["bytes"] < 16_000_000 for entry in manifest["files"] for part in entry["parts"])
    content = (server.folder / "a.weights.pt").read_bytes()
    (server.folder / "a.weights.pt").unlink()
    fetch(tmp_path)
    assert (tmp_path / "param" / "a.weights.pt").read_bytes() == content
    assert len(list((tmp_path / "param").iterdir())) == 3


def test_without_an_address_or_with_no_server_there_one_sentence_tells(server, tmp_path):
    manifest_of(server, tmp_path, "--base", "")
    with pytest.raises(InputError, match="PARAMS_URL"):
        fetch(tmp_path)
    with pytest.raises(InputError, match="cannot be fetched"):
        fetch(tmp_path, "--base", "http://127.0.0.1:9")


def test_a_manifest_that_names_files_elsewhere_is_refused(server, tmp_path):
    path = manifest_of(server, tmp_path)
    path.write_text(path.read_text().replace('"a.weights.pt"', '"../evil"'))
    with pytest.raises(InputError, match=r"files\[0\]: expected the name of a file, found '../evil'"):
        fetch(tmp_path)
    assert server.starts == []
