"""What the tests of the page's TypeScript share: it is bundled as the page is, and run in Node or in Chromium."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WEB = Path(__file__).parents[2] / "web"
Asked = Callable[[str, Any], Any]


def bundled(source: Path, folder: Path, platform: str = "browser") -> Path:
    """A TypeScript file with all that it imports as one JavaScript file in `folder`. Skips the test without esbuild."""
    esbuild = WEB / "node_modules/.bin/esbuild"
    if not esbuild.exists() or not shutil.which("node"):
        pytest.skip("needs Node.js, and `npm ci` in web/")
    made = folder / f"{source.stem}.js"
    options = ["--bundle", "--format=iife", f"--platform={platform}", "--log-level=warning", f"--outfile={made}"]
    environment = {**os.environ, "NODE_PATH": str(WEB / "node_modules")}
    subprocess.run([esbuild, source, *options], check=True, cwd=WEB, env=environment)
    return made


@pytest.fixture(scope="session")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Asks a function of `asked.ts`, by its name, in Node."""
    program = bundled(Path(__file__).parent / "asked.ts", tmp_path_factory.mktemp("node"), "node")

    def asked(name: str, given: Any) -> Any:
        command = ["node", str(program), name]
        done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return asked
