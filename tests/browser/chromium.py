"""A headless Chromium, driven over its debugging pipe (the DevTools protocol) without any other package."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 30.0  # seconds


class Browser:
    """One page."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._rest = b""
        self._number = 0
        target = self._send("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session: str | None = self._send("Target.attachToTarget", {"targetId": target, "flatten": True})[
            "sessionId"
        ]

    _session = None

    def _send(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            while b"\0" in self._rest:
                line, _, self._rest = self._rest.partition(b"\0")
                answer = json.loads(line)
                if answer.get("id") == self._number:
                    if "error" in answer:
                        raise RuntimeError(answer["error"])
                    return answer["result"]  # type: ignore[no-any-return]
            if select.select([self._from], [], [], 1.0)[0]:
                self._rest += os.read(self._from, 1 << 20)
        raise TimeoutError(method)

    def open(self, url: str) -> None:
        """Go to `url`."""
        self._send("Page.navigate", {"url": url})
        self.wait_for("document.readyState === 'complete'")

    def value(self, script: str) -> Any:
        """What a JavaScript expression gives; promises are waited for."""
        answer = self._send("Runtime.evaluate", {"expression": script, "returnByValue": True, "awaitPromise": True})
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """Its value, once that is true."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if value := self.value(script):
                return value
            time.sleep(0.05)
        raise AssertionError(f"never true: {script}")

    def resize(self, width: int, height: int, *, mobile: bool | None = None) -> None:
        """The window's size in pixels; one narrower than 600 is a phone's unless `mobile` says otherwise."""
        self._send(
            "Emulation.setDeviceMetricsOverride",
            {
                "width": width,
                "height": height,
                "deviceScaleFactor": 1,
                "mobile": (width < 600) if mobile is None else mobile,
            },
        )

    def emulate(self, media: str = "", *, dark: bool = False) -> None:
        """Show the page as on this medium, such as `print`, and with light or dark colours."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]})

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """What the window shows as a PNG, or with `whole` all of the page."""
        options = {"format": "png", "captureBeyondViewport": whole}
        if whole:
            size = self._send("Page.getLayoutMetrics", {})["cssContentSize"]
            options["clip"] = {**size, "scale": 1}
        path.write_bytes(base64.b64decode(self._send("Page.captureScreenshot", options)["data"]))

    def permit(self, name: str, setting: str) -> None:
        """Answer for the person when a page asks for a permission such as `camera`: `granted`, `denied` or `prompt`."""
        self._send("Browser.setPermission", {"permission": {"name": name}, "setting": setting})

    def installability(self) -> list[str]:
        """What keeps the page from being installed as an app, by the browser's own names."""
        found = self._send("Page.getInstallabilityErrors", {})["installabilityErrors"]
        return [error["errorId"] for error in found]

    def accessibility(self) -> list[tuple[str, str]]:
        """(role, name) of everything that a screen reader meets."""
        nodes = self._send("Accessibility.getFullAXTree", {})["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node.get("ignored")
        ]


@contextmanager
def chromium(profile: Path, *further: str) -> Iterator[Browser]:
    """A browser with its profile in the folder `profile`, and `further` options of its command line.

    Skips the test where there is none.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs the system package chromium")
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()

    def place_descriptors() -> None:  # the debugging pipe is descriptors 3 and 4
        kept = os.dup(from_write)
        os.dup2(to_read, 3)
        os.dup2(kept, 4)

    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--remote-debugging-pipe",
        f"--user-data-dir={profile}",
        *further,
        "about:blank",
    ]
    with subprocess.Popen(
        [program, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=place_descriptors,
        pass_fds=[3, 4],
    ) as process:
        try:
            yield Browser(to_write, from_read)
        finally:
            process.kill()
            for descriptor in (to_read, to_write, from_read, from_write):
                os.close(descriptor)
