"""`edgedense.deploy`: a deployed file to devices, over SSH."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgedense.errors import EdgedenseError
from edgedense.progress import Progress, reporting

if TYPE_CHECKING:
    from edgedense.device.service.options import UpdateOptions
    from edgedense.rollout.options import DeployOptions
    from edgedense.rollout.result import Deployment


def deploy(
    model: Path | str,
    hosts: Sequence[str] = (),
    *,
    fleet: Path | str | None = None,
    options: DeployOptions | None = None,
    update: UpdateOptions | None = None,
    progress: Progress | None = None,
) -> Deployment:
    """Bring a deployed `.tflite` file to devices over SSH, and have their service run it.

    `hosts` are names as ssh knows them, such as `pi@barn-1`. `fleet` is a file that lists devices, of which `hosts`
    then names some. A device gets edgedense and the file where it lacks them, and a service where it has none. The
    first one goes ahead alone. `update` is what a device's `edgedense service update` is told. `progress` is told of
    each host that is done.

    Ctrl-C ends it: hosts that are begun are told as failed, and are whole. What became of each host is in the result,
    so a host that fails raises nothing. Raises EdgedenseError for a file that is no deployed one, for a list of hosts
    that nobody understands, where no wheel can be built, and where this machine has no ssh.
    """
    from edgedense.deployed import bundle
    from edgedense.device.service.options import UpdateOptions
    from edgedense.files import sha256
    from edgedense.flags import check, words
    from edgedense.rollout import package, plan
    from edgedense.rollout.host import Job, deploy_to
    from edgedense.rollout.options import DeployOptions
    from edgedense.rollout.order import roll_out
    from edgedense.rollout.result import Deployment

    options, update = options or DeployOptions(), update or UpdateOptions()
    check(options)
    check(update)
    if update.shadow * 60 >= options.timeout:
        raise EdgedenseError(
            f"--timeout of more seconds than the {update.shadow:g} minutes of --shadow have", f"{options.timeout:g}"
        )
    model = Path(model)
    digest = sha256(bundle.read(model).model)
    devices = plan.devices(hosts, fleet)
    # Directly in /tmp where there is one: the path of a socket has room for about 100 letters.
    short = "/tmp" if Path("/tmp").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="edgedense-", dir=short) as name, reporting(progress):
        folder = Path(name)
        wanted = package.of_wheel(options.wheel) if options.wheel else package.of_this_installation(folder)
        job = Job(model, digest, wanted, options, folder, words(update))
        results = roll_out(devices, lambda device, number, stop: deploy_to(device, job, number, stop), options)
    return Deployment(model.name, digest, results)
