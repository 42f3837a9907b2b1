"""A headless Chromium, spoken to over a pipe: the browser's own protocol, no further package."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import time

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
# The pipe is what the browser reads at 3 and writes at 4.
START = 'exec 3<&"$THEIR_IN" 4>&"$THEIR_OUT"; exec "$@"'
NAMED = {"ArrowLeft": 37, "ArrowRight": 39, "Escape": 27, "Enter": 13}


class Chromium:
    """Close it, or use it in a `with`."""

    def __init__(self, profile):
        their_in, self._out = os.pipe()
        self._in, their_out = os.pipe()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
        flags += ["--disable-background-networking", "--disable-component-update", "--disable-quic"]
        flags += ["--no-proxy-server", f"--user-data-dir={profile}", "--remote-debugging-pipe"]
        self._process = subprocess.Popen(
            ["bash", "-c", START, "bash", str(CHROMIUM), *flags],
            pass_fds=(their_in, their_out),
            env={**os.environ, "THEIR_IN": str(their_in), "THEIR_OUT": str(their_out)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(their_in)
        os.close(their_out)
        self._numbers, self._read = itertools.count(1), b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        """At once, with all its processes, as when the machine's memory runs out."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            os.close(self._out)
            os.close(self._in)

    def tell(self, method, session=None, **parameters):
        number = next(self._numbers)
        said = {"id": number, "method": method, "params": parameters}
        said |= {} if session is None else {"sessionId": session}
        os.write(self._out, json.dumps(said).encode() + b"\0")
        while True:
            while b"\0" not in self._read:
                part = os.read(self._in, 2**20)
                assert part, "the browser went away"
                self._read += part
            line, self._read = self._read.split(b"\0", 1)
            answer = json.loads(line)
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def open(self, address, *, width=1100, height=900):
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, target, session)
        tab.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        tab.tell("Page.navigate", url=address)
        return tab


class Tab:
    def __init__(self, browser, target, session):
        self.browser, self.target, self.session = browser, target, session

    def tell(self, method, **parameters):
        return self.browser.tell(method, self.session, **parameters)

    def run(self, script):
        """Value of an expression in the page."""
        found = self.tell("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, script, seconds=20):
        """Until an expression is true; gives its value."""
        deadline = time.monotonic() + seconds
        while not (value := self.run(f"document.body ? ({script}) : null")):
            assert time.monotonic() < deadline, (script, self.run("document.body.innerText"))
            time.sleep(0.02)
        return value

    def press(self, key):
        given = {"key": key, "text": key} if len(key) == 1 else {"key": key}
        given |= {"windowsVirtualKeyCode": NAMED[key]} if key in NAMED else {}
        self.tell("Input.dispatchKeyEvent", type="keyDown", **given)
        self.tell("Input.dispatchKeyEvent", type="keyUp", key=key)

    def write(self, text):
        self.tell("Input.insertText", text=text)

    def close(self):
        self.browser.tell("Target.closeTarget", targetId=self.target)
