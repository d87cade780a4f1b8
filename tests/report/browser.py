"""A headless Chromium, driven over its devtools pipe: no driver and no port."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 60.0  # seconds for anything to happen: a machine may be busy


def chromium() -> str | None:
    """Return the path of a Chromium; None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One Chromium with one page; `problems` are its console's errors and uncaught exceptions."""

    def __init__(self, profile: Path, *, scripts: bool = True) -> None:
        to_browser, ours = os.pipe()
        theirs, from_browser = os.pipe()
        path = chromium()
        assert path is not None
        command = [
            path, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe",
            f"--user-data-dir={profile}", "about:blank",
        ]  # fmt: skip
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "bash", *command],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._in, self._out = os.fdopen(ours, "wb"), os.fdopen(theirs, "rb")
        self._number, self._session = 0, ""
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._loaded = 0
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        if not scripts:
            self.call("Emulation.setScriptExecutionDisabled", value=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._in.close()
        self.process.terminate()
        self.process.wait()
        self._out.close()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the devtools protocol and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._in.write(json.dumps(message).encode() + b"\0")
        self._in.flush()
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result

    def _receive(self) -> dict[str, Any]:
        parts = []
        while (byte := self._out.read(1)) != b"\0":
            assert byte, "the browser has gone"
            parts.append(byte)
        answer: dict[str, Any] = json.loads(b"".join(parts))
        self._note(answer.get("method", ""), answer.get("params", {}))
        return answer

    def _note(self, method: str, told: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(told["exceptionDetails"])[:500])
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning"):
            self.problems.append(json.dumps(told["args"])[:500])
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.problems.append(told["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method == "Page.loadEventFired":
            self._loaded += 1

    def see(self, width: int, height: int, *, dark: bool = False, paper: bool = False) -> None:
        """Set the window, and whether its reader likes it dark, or it is printed."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media="print" if paper else "", features=[scheme])

    def open(self, path: Path) -> None:
        """Load a file and wait until it is there."""
        before = self._loaded
        self.call("Page.navigate", url=path.resolve().as_uri())
        while self._loaded == before:
            self._receive()

    def run(self, script: str) -> Any:
        """Return what an expression is worth, a promise's once it is kept."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, json.dumps(answer["exceptionDetails"])[:800]
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + PATIENCE
        while not self.run(condition):
            assert time.monotonic() < end, f"never true: {condition}"
            time.sleep(0.05)

    def press(self, key: str) -> None:
        """Press a key where the focus is."""
        codes = {"ArrowRight": 39, "ArrowLeft": 37, "Enter": 13, "Tab": 9, " ": 32}
        text = {"Enter": "\r", " ": " "}.get(key, "")
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind, key=key, windowsVirtualKeyCode=codes[key],
                text=text if kind == "keyDown" else "",
            )  # fmt: skip

    def point(self, x: float, y: float) -> None:
        """Move the pointer to a place in the window."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def draw_all(self) -> None:
        """Draw every interactive figure, as scrolling through the page would."""
        self.run("page.figures.forEach(figure => figure.start())")
        self.wait("page.figures.every(figure => figure.node.dataset.drawn)")

    def settle(self) -> None:
        """Draw again what the reader has not seen since something changed, and wait for all."""
        self.run("page.figures.filter(f => f.live && f.stale).forEach(f => { f.draw(); })")
        self.wait("page.figures.every(figure => !figure.live || figure.drawing === 0)")

    def picture(self, path: Path, *, whole: bool = True) -> Path:
        """Write what is seen, the whole page or the window, as PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))
        return path

    def pdf(self, path: Path) -> Path:
        """Write what a printer would be sent."""
        made = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        path.write_bytes(base64.b64decode(made["data"]))
        return path


def axe(browser: Browser, source: str, rules: Sequence[str] = ()) -> list[str]:
    """Return what axe finds wrong with the page, one line a rule and place."""
    browser.run(source + ";0")
    found = browser.run(
        "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.flatMap(v => "
        "v.nodes.map(n => v.id + ': ' + n.target.join(' ') + ': ' + n.failureSummary)))"
    )
    return [line for line in found if line.split(":")[0] not in rules]
