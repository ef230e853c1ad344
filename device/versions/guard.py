"""What systemd runs as root after every end of a service: it takes a model back that failed.

    python -m edgedense.device.versions.guard /var/lib/edgedense-models/door /var/lib/door

It reads how the service ended, and no byte of any model.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edgedense.device.versions import trial
from edgedense.device.versions.models import Models
from edgedense.device.versions.moments import Moment
from edgedense.errors import EdgedenseError


def main() -> int:
    """Takes the folders of models and of state; what it says goes to the journal."""
    folder, state = map(Path, sys.argv[1:])
    try:
        said = trial.after_stop(Models(folder), state, os.environ, Moment.now())
    except EdgedenseError as error:
        print(f"edgedense: the model could not be taken back: {error}", file=sys.stderr)
        return error.exit_code
    if said:
        print(f"edgedense: {said}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
