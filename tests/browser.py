"""A headless Chromium, driven over a pipe by its own protocol: real keys, screenshots, and what it complains about."""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

_PATIENCE_S = 60
NAMES = ("chromium", "chromium-browser", "google-chrome")
_SWITCHES = (
    "headless",
    "no_sandbox",  # which Chromium wants of the superuser
    "disable_gpu",
    "disable_quic",
    "no_first_run",
    "disable_background_networking",
    "disable_component_update",
    "disable_sync",
    "hide_scrollbars",
    "remote_debugging_pipe",
)
_NO_NAME_RESOLVES = "--host-resolver-rules=MAP * ~NOTFOUND"
# The browser reads commands from descriptor 3 and writes answers to 4.
_AS_3_AND_4 = """\
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Page:
    """One tab."""

    def __init__(self, process: subprocess.Popen[bytes], commands: int, answers: int) -> None:
        self._process = process
        self._commands = commands
        self._answers = answers
        self._buffer = b""
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self.requests: list[str] = []  # every address asked for
        self.complaints: list[str] = []  # errors, warnings and what the content security policy refused
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable", {})

    def open(
        self, address: str, *, width: int = 1100, height: int = 900, dark: bool = False, scripts: bool = True
    ) -> None:
        """Go there and wait until the page and its pictures are loaded."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", {"features": [scheme]})
        self._call("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        for url in ("about:blank", address):  # between two places of one page nothing would be loaded
            self._call("Page.navigate", {"url": url})
            while self._receive().get("method") != "Page.loadEventFired":
                pass

    def value(self, expression: str) -> Any:
        """What the expression gives in the page; raises `ValueError` when it throws."""
        given = self._call("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True})
        if "exceptionDetails" in given:
            raise ValueError(given["exceptionDetails"])
        return given["result"].get("value")

    def press(self, key: str, code: int, times: int = 1) -> None:
        """Press and release a key, as a keyboard would."""
        for kind in ("rawKeyDown", "keyUp") * times:
            self._call("Input.dispatchKeyEvent", {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code})

    def click(self, x: float, y: float) -> None:
        """Click with the left button there, in CSS pixels of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            self._call("Input.dispatchMouseEvent", event)

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, width and height of the first element that matches, in CSS pixels of the window."""
        corners = "(r => [r.left, r.top, r.width, r.height])"
        left, top, width, height = self.value(
            f"{corners}(document.querySelector({selector!r}).getBoundingClientRect())"
        )
        return left, top, width, height

    def screenshot(self, selector: str = "html") -> npt.NDArray[np.uint8]:
        """RGB `[H, W, 3]` of the first element that matches; the whole page unless one is named."""
        left, top, width, height = self.box(selector)
        across, down = self.value("[scrollX, scrollY]")
        box = {"x": left + across, "y": top + down, "width": width, "height": height, "scale": 1}
        request = {"format": "png", "captureBeyondViewport": True, "clip": box}
        data = self._call("Page.captureScreenshot", request)["data"]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))

    def accessible(self) -> list[tuple[str, str, str]]:
        """Role, name and value of everything that a screen reader is told of."""
        told: list[tuple[str, str, str]] = []
        for node in self._call("Accessibility.getFullAXTree", {})["nodes"]:
            if not node["ignored"]:
                role, name, value = (str(node.get(field, {}).get("value", "")) for field in ("role", "name", "value"))
                told.append((role, name, value))
        return told

    def _call(self, method: str, parameters: Mapping[str, object]) -> dict[str, Any]:
        number = next(self._numbers)
        message: dict[str, object] = {"id": number, "method": method, "params": dict(parameters)}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != number:
            pass
        if "error" in answer:
            raise ValueError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._answers], [], [], _PATIENCE_S)[0]:
                raise TimeoutError(f"the browser said nothing for {_PATIENCE_S} s")
            part = os.read(self._answers, 1 << 20)
            if not part:
                raise EOFError(f"the browser ended with {self._process.wait()}")
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, parameters: Mapping[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.complaints.append(json.dumps(parameters))


@contextmanager
def browser(profile: Path) -> Generator[Page, None, None]:
    """A tab of a fresh browser whose profile lies in `profile`; skips the test where no Chromium is installed."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"needs Chromium: none of {', '.join(NAMES)} is installed")
    to_browser, from_us = os.pipe()
    to_us, from_browser = os.pipe()
    command = [sys.executable, "-c", _AS_3_AND_4, str(to_browser), str(from_browser), program]
    command += [f"--{name.replace('_', '-')}" for name in _SWITCHES]
    command += [_NO_NAME_RESOLVES, f"--user-data-dir={profile}"]
    process = subprocess.Popen(command, pass_fds=(to_browser, from_browser), stderr=subprocess.DEVNULL)
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Page(process, from_us, to_us)
    finally:
        os.close(from_us)  # the end of its commands is the browser's end
        os.close(to_us)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
