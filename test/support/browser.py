"""A headless browser for the tests, spoken to through its DevTools pipe."""

import json
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Page:
    """One page of the browser, and everything that it reported."""

    def __init__(self, reading, writing):
        self.reading, self.writing, self.number = reading, writing, 0
        self.events, self.session = [], None

    def _next(self):
        message = bytearray()
        while (byte := self.reading.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("the browser ended early")
            message += byte
        return json.loads(message)

    def ask(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.writing.write(json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self.number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, url, width, height=900):
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", **metrics)
        self.ask("Page.navigate", url=url)
        while not self.seen("Page.loadEventFired"):
            self.events.append(self._next())

    def seen(self, method):
        return [event["params"] for event in self.events if event.get("method") == method]

    def value(self, expression):
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")


@contextmanager
def opened(url, width):
    """Open a page; skip where there is no browser, but fail for that in CI."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        sentence = f"no browser: expected one of {', '.join(NAMES)} on PATH; install Debian's chromium"
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    to_browser, ours = os.pipe()
    theirs, from_browser = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = f"--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir={profile}"
        # The shell puts the pipes where the browser looks for them: descriptors 3 and 4.
        command = f'exec "$0" {options} --remote-debugging-pipe 3<&{to_browser} 4>&{from_browser}'
        process = subprocess.Popen(
            ["bash", "-c", command, program], pass_fds=(to_browser, from_browser), stderr=subprocess.DEVNULL
        )
        os.close(to_browser)
        os.close(from_browser)
        with open(theirs, "rb") as reading, open(ours, "wb", buffering=0) as writing:  # noqa: PTH123 - descriptors
            try:
                page = Page(reading, writing)
                page.open(url, width)
                yield page
                page.session = None
                page.ask("Browser.close")
                process.wait(20)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
