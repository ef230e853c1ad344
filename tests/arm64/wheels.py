"""The wheel of this checkout, and the wheels for aarch64 that pip would take with it on a board."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLATFORMS = (
    "manylinux2014",
    "manylinux_2_17",
    "manylinux_2_26",
    "manylinux_2_27",
    "manylinux_2_28",
    "manylinux_2_31",
    "manylinux_2_34",
    "manylinux_2_35",
)


def build(folder: Path) -> Path:
    """The path of the wheel, built into `folder`; the same files give the same wheel."""
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT],
        check=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1577836800"},
    )
    return next(folder.glob("*.whl"))


def download(folder: Path, python: str, *requirements: str) -> None:
    """Download into `folder` what `requirements` need on aarch64 with Python `python`, such as 3.11."""
    _pip("download", python, "-d", folder, *requirements)


def install(site_packages: Path, python: str, wheels: Path, *requirements: str) -> None:
    """Install `requirements` for aarch64 into the folder of packages of a Python `python`, from the folder `wheels`.

    Their programs are not installed: they would name this machine's Python.
    """
    _pip("install", python, "--no-index", "--find-links", wheels, "--target", site_packages, *requirements)
    shutil.rmtree(site_packages / "bin", ignore_errors=True)


def _pip(command: str, python: str, *words: str | Path) -> None:
    platforms = [f"--platform={name}_aarch64" for name in PLATFORMS]
    abis = [f"--abi={abi}" for abi in (f"cp{python.replace('.', '')}", "abi3", "none")]
    options = ["--quiet", "--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    subprocess.run([sys.executable, "-m", "pip", command, *options, *platforms, *abis, *words], check=True)
