"""A page for this machine alone."""

import json
import urllib.error
import urllib.request

import pytest

from util.runtime.errors import InputError
from util.runtime.local_page import serving


def get(url, **headers):
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10)


def test_what_is_shown_is_served_whole_and_the_last_of_each_name():
    with serving(0) as page:
        page.show("text/html", {"index.html": b"<p>old"})
        page.show("text/html", {"index.html": b"<p>new"})
        page.show_state("state.json", {"frames": 3})
        assert page.url.startswith("http://127.0.0.1:")
        assert page.asked_s > 1e9
        with get(page.url) as answer:
            assert (answer.read(), answer.headers["Content-Type"]) == (b"<p>new", "text/html")
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        with get(f"{page.url}state.json?7") as answer:
            assert json.load(answer) == {"frames": 3}
        assert page.asked_s < 10


@pytest.mark.parametrize(
    ("name", "host"), [("none.png", "localhost:80"), ("", "stranger.example"), ("../x", "localhost")]
)
def test_nothing_else_is_served_nor_to_a_page_of_another_name(name, host):
    with serving(0) as page:
        page.show("text/html", {"index.html": b"<p>"})
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(page.url + name, Host=host)


def test_a_port_in_use_is_refused_and_free_again_afterwards():
    with serving(0) as page:
        port = int(page.url.rpartition(":")[2].strip("/"))
        with (
            pytest.raises(InputError, match=rf"^--port {port}: expected a free port, found one in use; name"),
            serving(port),
        ):
            pass
    with serving(port):
        pass
