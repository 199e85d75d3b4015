"""What comes from the network, and what listens to it."""

import http.server
import json
import subprocess
import threading
from contextlib import contextmanager

import dask
import psutil
import pytest

from src import download_params
from src.release_weights import piece_of
from support.clusters import running_scheduler, running_workers
from support.networks import facts_of
from support.param import prior_named
from support.refusals import refusal_of
from util.runtime.errors import InputError
from util.runtime.executor import open_executor
from util.runtime.facts import from_json, to_json
from util.training.released import Manifest, ReleasedWeights

CONTENT = b"PK\x03\x04" + bytes(range(256)) * 400
PAGE = b"<!doctype html><title>Please log in</title>"


@contextmanager
def serving(write, headers=()):
    """Serve the same answer to whatever is asked, written by a function of the file to write to; give the address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            for header in headers:
                self.send_header(*header)
            self.end_headers()
            write(self.wfile)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def piece(name="a.weights.pt", content=CONTENT):
    return piece_of(name, content)


def refused(address, folder, wanted, *words):
    """Check that a file is not fetched, nothing of it is kept, and the line says why."""
    with pytest.raises(InputError) as refusal:
        download_params.fetch(address, wanted, folder / wanted.name)
    for word in (address, wanted.name, *words):
        assert word in str(refusal.value)
    assert list(folder.iterdir()) == []


def test_a_download_stops_once_it_is_past_the_size_told(tmp_path):
    sent = []

    def for_ever(file):
        file.write(CONTENT[:4])
        for _ in range(10_000):
            sent.append(file.write(bytes(100_000)))

    with serving(for_ever) as address:
        refused(address, tmp_path, piece(), f"expected {len(CONTENT)} bytes, found more, which was not kept")
    assert sum(sent) < 2e8  # of a thousand millions


@pytest.mark.parametrize("headers", [(), [("Content-Length", str(len(PAGE)))], [("Content-Type", "text/html")]])
def test_a_page_in_place_of_weights_is_not_kept_as_their_start(tmp_path, headers):
    with serving(lambda file: file.write(PAGE), headers) as address:
        refused(address, tmp_path, piece(), "which was not kept; check the address")
        refused(address, tmp_path, piece("a.weights.pt.000"), "which was not kept")


def test_a_length_that_is_not_that_of_the_file_is_refused_before_anything_is_taken(tmp_path):
    with serving(lambda file: file.write(CONTENT), [("Content-Length", str(len(CONTENT) + 9))]) as address:
        refused(address, tmp_path, piece("a.weights.pt.001"), f"bytes, found {len(CONTENT) + 9}")


def test_a_link_planted_in_place_of_a_download_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("old")
    (tmp_path / "a.weights.pt.download").symlink_to(tmp_path / "precious")
    with (
        serving(lambda file: file.write(CONTENT)) as address,
        pytest.raises(InputError, match=r"a\.weights\.pt\.download: expected a file, found a symbolic link"),
    ):
        download_params.fetch(address, piece(), tmp_path / "a.weights.pt")
    assert (tmp_path / "precious").read_text() == "old"


def manifest(name, part=None):
    """Return a manifest of one file, and of one part of it, by these names."""
    facts = vars(facts_of(prior_named("pretraining")))
    file = ReleasedWeights(**vars(piece()), **facts, validation_distance=0.01, hours=1.0, parts=())
    content = json.loads(to_json(Manifest("", (file,))))
    parts = [{"name": part, "bytes": 1, "sha256": "0" * 64}] * (part is not None)
    content["files"][0] |= {"name": name, "parts": parts}
    return json.dumps(content)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *((name, None) for name in ("weights.json", "../a.weights.pt", "/a.weights.pt", "", "..", "training.toml")),
        *(("a.weights.pt", part) for part in ("weights.json", "../a.weights.pt.000", "b.pt.000", "a.weights.pt")),
    ],
)
def test_a_manifest_names_files_of_weights_and_their_parts_alone(tmp_path, name, part):
    with pytest.raises(InputError, match=r"expected (the name of a file|parts)"):
        from_json(Manifest, manifest(name, part), tmp_path / "weights.json", remedy="restore it")
    sound = from_json(Manifest, manifest("a.weights.pt", "a.weights.pt.000"), tmp_path, remedy="")
    assert sound.files[0].parts[0].name == "a.weights.pt.000"


def listening(program):
    """Return the addresses at which a program and its children listen."""
    processes = [psutil.Process(program.pid), *psutil.Process(program.pid).children(recursive=True)]
    found = [connection for process in processes for connection in process.net_connections("inet")]
    return {connection.laddr.ip for connection in found if connection.status == psutil.CONN_LISTEN}


@pytest.fixture(scope="module")
def keys(module_folder):
    """Return a file of Dask's settings that name a certificate and its key for all roles, and demand them."""
    folder = module_folder("keys")
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=sevi"]
    made = subprocess.run([*words, "-keyout", "key.pem", "-out", "cert.pem"], cwd=folder, capture_output=True)
    assert made.returncode == 0, made.stderr
    role = {"cert": f"{folder}/cert.pem", "key": f"{folder}/key.pem"}
    tls = {"ca-file": f"{folder}/cert.pem", "scheduler": role, "worker": role, "client": role}
    comm = {"require-encryption": True, "tls": tls}
    (folder / "distributed.yaml").write_text(json.dumps({"distributed": {"comm": comm}}))
    return folder / "distributed.yaml"


@pytest.mark.slow
def test_scheduler_and_workers_listen_to_this_machine_alone_and_with_keys_to_their_holders(keys, tmp_path, capsys):
    settings, tls = {"DASK_CONFIG": str(keys)}, json.loads(keys.read_text())["distributed"]["comm"]["tls"]
    client = {f"distributed.comm.tls.client.{name}": path for name, path in tls["client"].items()}
    client |= {"distributed.comm.tls.ca-file": tls["ca-file"]}
    with running_scheduler(tmp_path, "--dashboard", **settings) as (scheduler, address):
        assert address.startswith("tls://127.0.0.1:")
        with (
            dask.config.set(client),
            running_workers(address, tmp_path, 1, "--dashboard", **settings) as workers,
        ):
            assert listening(scheduler) == listening(workers) == {"127.0.0.1"}
            with open_executor(1, address) as executor:
                assert executor.submit(divmod, 7, 2).result() == (3, 1)
        status, _, said = refusal_of(lambda _: open_executor(1, address).__enter__(), capsys=capsys)
        assert (status, said.count("\n")) == (2, 1) and address in said
