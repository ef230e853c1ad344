"""--device auto: which file runs on which device of this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedense.device.engines import edgetpu, openvino
from edgedense.device.engines.interpreter import default_threads, find_runtime, runtime_name
from edgedense.errors import DeviceError, EdgedenseError

if TYPE_CHECKING:
    from edgedense.device.engines.race import Race

_COMPILED = "_edgetpu.tflite"
_KEPT = "engines.json"
_MOST = 50  # answers that are kept


def place(path: Path, threads: int | None = None) -> tuple[Path, str, str | None]:
    """For the device auto: the file to run, the device to run it on, and a remark.

    The Edge TPU compiler writes NAME_edgetpu.tflite beside NAME.tflite. With auto the former runs where there is
    an Edge TPU that works, else the latter on the processor: by LiteRT, or by OpenVINO where it is installed and
    faster with so many `threads`. Raises DeviceError when only the compiled file is there and cannot run.
    """
    plain = path.with_name(path.name.replace(_COMPILED, ".tflite"))
    compiled = plain.with_name(plain.stem + _COMPILED)
    if not compiled.exists():
        device, why = _on_processor(path, threads)
        return path, device, f"runs on the processor: there is no {compiled.name} beside the file{why}"
    try:
        edgetpu.probe(edgetpu.library_name(), "", find_runtime().module)
    except DeviceError as error:
        if not plain.exists():
            raise
        device, why = _on_processor(plain, threads)
        return plain, device, f"runs on the processor: {error.found}{why}"
    return compiled, "coral", None


def _on_processor(path: Path, threads: int | None) -> tuple[str, str]:
    """("cpu" or "openvino", why, as the end of a sentence: empty where there is no choice)."""
    if openvino.version() is None:
        return "cpu", ""
    from edgedense.deployed import bundle  # here, for most machines have nothing to choose from
    from edgedense.device.engines.race import Race, race
    from edgedense.files import sha256

    content = bundle.read(path).model
    threads = threads or default_threads()
    asked = [sha256(content), threads, _processor(), runtime_name("cpu"), runtime_name("openvino")]
    key = sha256(json.dumps(asked).encode())
    kept = _read(usual_folder() / _KEPT)
    try:
        found = Race(**kept[key])
    except (KeyError, TypeError):
        try:
            found = race(path, threads)
        except EdgedenseError as error:  # which may be gone the next time, and is not kept
            return "cpu", f"; {runtime_name('openvino')} is not used, for it cannot run it: {error.found}"
        _keep({**kept, key: vars(found)})
    return found.device, f"; {_told(found)}"


def _told(found: Race) -> str:
    names = {"cpu": runtime_name("cpu"), "openvino": runtime_name("openvino")}
    if found.refused:
        return f"{names['openvino']} is not used, for {found.refused}"
    other = "openvino" if found.device == "cpu" else "cpu"
    times = found.milliseconds
    return (
        f"{names[found.device]} takes {times[found.device]:.1f} ms for an inference here, "
        f"{names[other]} {times[other]:.1f} ms"
    )


def _processor() -> str:
    """What tells one machine's answer from another's, where a folder moves or is shared: the processor's name."""
    import platform

    from edgedense.device.machine import Machine

    text = Machine().text("proc/cpuinfo") or ""
    names = (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    return next(names, platform.machine())


def usual_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where answers are kept: in the folder that systemd has made for a service, or else among the files of this user
    that may be deleted at any time (XDG base directories)."""
    if folder := environment.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(folder)
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache", "edgedense")


def _read(path: Path) -> dict[str, Any]:
    """What was kept; nothing where there is none, or what is there cannot be used: then it is measured again."""
    try:
        kept = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _keep(answers: dict[str, Any]) -> None:
    """Keep the newest answers. Where nothing can be written it is measured at each start."""
    from edgedense.files import write_atomically

    folder = usual_folder()
    newest = dict(list(answers.items())[-_MOST:])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / _KEPT, json.dumps(newest, indent=1).encode())
    except (OSError, EdgedenseError):
        return
