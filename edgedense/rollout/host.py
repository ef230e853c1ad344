"""What is done with one host: the package, the model, the service."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgedense.rollout.connection import Connection, HostError
from edgedense.rollout.options import DeployOptions
from edgedense.rollout.package import Package
from edgedense.rollout.plan import EXTRAS, Device
from edgedense.rollout.result import HostResult

PATIENCE = 180  # seconds that a service has to see its first frame; systemd gives up after 90, and tries again


@dataclass(frozen=True)
class Job:
    """What every host gets: the file `model` with its SHA-256, and the package. `update` are options of edgedense
    service update. `folder` is an empty one, for sockets."""

    model: Path
    sha256: str
    package: Package
    options: DeployOptions
    folder: Path
    update: Sequence[str]


def deploy_to(device: Device, job: Job, number: int, stop: threading.Event) -> HostResult:
    """Bring the model to a host. `number` is that of no other host of the job; `stop` interrupts it."""
    began = time.monotonic()
    control = job.folder / str(number)
    try:
        with Connection(device.host, control, began + job.options.timeout, stop, job.options.ssh_config) as connection:
            return _steps(device, job, connection, began)
    except HostError as problem:
        return HostResult(device.host, problem.outcome, str(problem), seconds=time.monotonic() - began)


def _steps(device: Device, job: Job, connection: Connection, began: float) -> HostResult:
    from edgedense.device.service.outcome import Update

    place = str(job.options.place)
    package = {**job.package.to_dict(), "extras": device.extras, "usual": EXTRAS}
    model = {"sha256": job.sha256, "file": job.model.name}
    there = connection.do("look", {"place": place, "name": device.name, "package": package, "model": model})
    bring(connection, place, job.package, package, there)
    if not there["has_model"]:
        send(connection, place, "models", job.model, job.sha256)
    given = {"place": place, "key": there["key"], "name": device.name, "model": model, "is_told": device.is_told}
    first = {name: getattr(device, name) for name in ("source", "options", "user", "public_key")}
    answer = connection.do("serve", {**given, "first": first, "update": list(job.update), "patience": PATIENCE})
    result = HostResult(
        device.host, "installed", answer["note"], job.package.version, None, job.sha256, time.monotonic() - began
    )
    if answer["update"] is None:
        return result
    update = Update.from_dict(answer["update"])
    result = replace(result, outcome=update.outcome, before=update.before, checks=update.checks)
    return result if update.succeeded else replace(result, reason=update.reason, after=update.before)


def bring(
    connection: Connection, place: str, wanted: Package, package: Mapping[str, Any], there: Mapping[str, Any]
) -> None:
    """Install the package on the host, unless `there`, what a step of `on_device` found, says that it has it."""
    if there["has_package"]:
        return
    if wanted.wheel is not None:
        send(connection, place, "wheels", wanted.wheel, str(wanted.sha256))
    connection.do("install", {"place": place, "key": there["key"], "package": package, "extras": there["extras"]})


def send(connection: Connection, place: str, folder: str, file: Path, sha256: str) -> None:
    """Copy a file into a folder of the host's `place`, where its SHA-256 is compared."""
    given = {"place": place, "folder": folder, "name": file.name, "sha256": sha256, "size": file.stat().st_size}
    connection.do("receive", given, file)
