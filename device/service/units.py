"""A unit that is installed: what its command runs, and how one of an earlier version learns where models are kept."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from edgedense.device.service.systemd import Service, environment, guard, systemctl
from edgedense.errors import EdgedenseError
from edgedense.files import write_atomically

_MODEL = 4  # the model's place in the command: python -m edgedense.cli run MODEL


@dataclass(frozen=True)
class Unit:
    """`words` are the command's, as the program gets them."""

    name: str
    user: str
    words: tuple[str, ...]
    text: str

    @property
    def model(self) -> Path:
        """The path that the service runs."""
        return Path(self.words[_MODEL])

    def option(self, name: str) -> str | None:
        """What the command gives for an option, such as --device; None where it does not."""
        return self.words[self.words.index(name) + 1] if name in self.words[:-1] else None


def read(service: Service) -> Unit:
    """The service's unit. Raises EdgedenseError when there is none, or one that edgedense did not write."""
    try:
        text = service.unit_path.read_text()
    except OSError as error:
        raise EdgedenseError(
            f"an installed service {service.name}",
            f"{service.unit_path}: {error.strerror}",
            "edgedense service install MODEL, or --name with another service's name",
        ) from error
    entries = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)
    words = tuple(_unquoted(word) for word in shlex.split(entries.get("ExecStart", "")))
    if words[1:4] != ("-m", "edgedense.cli", "run") or len(words) <= _MODEL:
        raise EdgedenseError(
            "a unit that edgedense service install wrote",
            f"{service.unit_path} with another command",
            "install it anew",
        )
    return Unit(service.name, entries.get("User", ""), words, text)


def _unquoted(word: str) -> str:
    """As systemd hands it to the program (systemd.service(5), COMMAND LINES)."""
    return word.replace("$$", "$").replace("%%", "%")


def modernized(text: str, service: Service) -> str:
    """A unit's text that names the link to the current model, and what takes one back that fails. Of an installation by
    this version it is the same."""
    if "ExecStopPost=" in text:
        return text
    command = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    quoted = re.match(r'(ExecStart=(?:"(?:\\.|[^"\\])*"|\S+) -m edgedense\.cli run )("(?:\\.|[^"\\])*"|\S+)', command)
    if quoted is None:
        raise EdgedenseError("a unit that edgedense service install wrote", command, "install it anew")
    changed = f"{quoted[1]}{service.models.link}{command[quoted.end() :]}\nExecStopPost={guard(service)}"
    text = text.replace(command, changed)
    text = re.sub(r"^Environment=.*$", lambda _: f"Environment={environment(service)}", text, flags=re.MULTILINE)
    if "StateDirectory=" not in text:
        folder = f"StateDirectory={service.name}\nStateDirectoryMode=0750\n"
        text = text.replace("UMask=0027\n", f"UMask=0027\n{folder}")
    return text


def modernize(unit: Unit, service: Service) -> bool:
    """Bring the unit file up to date where an earlier version wrote it. Returns whether that was so."""
    text = modernized(unit.text, service)
    if text == unit.text or "ExecStopPost=" in service.unit_path.read_text():
        return False
    write_atomically(service.unit_path, text.encode())
    service.unit_path.chmod(0o644)
    systemctl("daemon-reload")
    return True
