"""The models of a service, in a folder that only root may write to.

    /var/lib/edgedense-models/door/
        current.tflite -> 3f0c.../chest.tflite      what the unit names and the service runs
        previous.tflite -> 91be.../chest.tflite     what it goes back to
        3f0c.../chest.tflite                        each file below its SHA-256, under its own name
        history.jsonl                               who changed what, when and why
        trial.json                                  while a new model has yet to prove itself
        candidate.json                              while a new model only looks on

A switch is the rename of a link, which is whole or not there at all. The service's user reads all of this and can
change none of it; what the service itself writes lies in its state folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgedense.device.versions import history
from edgedense.device.versions.history import Change
from edgedense.errors import EdgedenseError
from edgedense.files import remove_leftovers, sha256, sync_folder, write_atomically

FOLDER = Path("/var/lib/edgedense-models")


@dataclass(frozen=True)
class Model:
    """A file that is kept, by the SHA-256 that it had when it came."""

    sha256: str
    path: Path

    @property
    def is_whole(self) -> bool:
        """Whether the file still has its hash: memory cards forget."""
        try:
            return sha256(self.path.read_bytes()) == self.sha256
        except OSError:
            return False


@dataclass(frozen=True)
class Models:
    """Those of one service, below `folder`."""

    folder: Path

    @classmethod
    def of(cls, service: str) -> Models:
        """Those of the service of this name."""
        return cls(FOLDER / service)

    @property
    def link(self) -> Path:
        """The path that the unit names: a link to the current model."""
        return self.folder / "current.tflite"

    @property
    def current(self) -> Model | None:
        """What the service runs, or will run when it starts; None before there is anything."""
        return self._linked("current.tflite")

    @property
    def previous(self) -> Model | None:
        """What it goes back to, where there is something."""
        found = self._linked("previous.tflite")
        return None if found == self.current else found

    def _linked(self, name: str) -> Model | None:
        try:
            target = Path(os.readlink(self.folder / name))
        except OSError:
            return None
        return Model(target.parts[0], self.folder / target)

    def keep(self, files: Mapping[str, bytes]) -> Model:
        """Store a model: its file, named and with its content, and behind it those that belong beside it.

        Raises EdgedenseError when there is no room or no permission.
        """
        name, data = next(iter(files.items()))
        folder = self.folder / sha256(data)
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            for path in (self.folder.parent, self.folder, folder):
                path.chmod(0o755)  # whatever root's umask is: the service's user must come through
        except OSError as error:
            raise EdgedenseError("room and permission to keep a model", f"{folder}: {error.strerror}") from error
        for other, content in files.items():
            path = folder / other
            if not path.is_file() or path.read_bytes() != content:
                write_atomically(path, content)
            path.chmod(0o644)
        return Model(folder.name, folder / name)

    def has(self, files: Mapping[str, bytes]) -> bool:
        """Whether the current model is this one, under whatever name, and all of its files are whole."""
        current, (data, *_) = self.current, files.values()
        if current is None or current.sha256 != sha256(data) or not current.is_whole:
            return False
        beside = {current.path.parent / name: content for name, content in list(files.items())[1:]}
        return all(path.is_file() and path.read_bytes() == content for path, content in beside.items())

    def switch(self, model: Model, previous: Model | None) -> None:
        """Make `model` the current one and `previous` the one to go back to: whoever reads the link finds one or the
        other."""
        if previous is None:
            (self.folder / "previous.tflite").unlink(missing_ok=True)
        else:
            self._point("previous.tflite", previous)
        self._point("current.tflite", model)

    def _point(self, name: str, model: Model) -> None:
        new = self.folder / f".{name}.new"
        new.unlink(missing_ok=True)
        os.symlink(model.path.relative_to(self.folder), new)
        os.replace(new, self.folder / name)
        sync_folder(self.folder)

    def forget_others(self) -> None:
        """Delete every model but the current one and the one to go back to."""
        kept = {model.sha256 for model in (self.current, self.previous) if model}
        for folder in self.folder.iterdir():
            if folder.is_dir() and folder.name not in kept:
                shutil.rmtree(folder)
        remove_leftovers(self.folder, r"(trial|candidate)\.json")

    @property
    def changes(self) -> tuple[Change, ...]:
        """The history. Raises EdgedenseError when it cannot be read."""
        return history.read(self.folder / "history.jsonl")

    def note(self, *, who: str, before: Model | None, after: Model, outcome: str, why: str) -> None:
        """Add to the history. Raises EdgedenseError when it cannot be written."""
        history.append(
            self.folder / "history.jsonl",
            who=who,
            before=None if before is None else before.sha256,
            after=after.sha256,
            file=after.path.name,
            outcome=outcome,
            why=why,
        )

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """While one process changes the links and the history, the others wait: it takes no time."""
        with self._locked(".links.lock"):
            yield

    @contextlib.contextmanager
    def updating(self) -> Iterator[None]:
        """For as long as an update takes. Raises EdgedenseError while there is another one."""
        with self._locked(".update.lock", waits=False):
            yield

    @contextlib.contextmanager
    def _locked(self, name: str, waits: bool = True) -> Iterator[None]:
        import fcntl  # not everywhere: a run, which imports this module, takes no lock

        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
            except BlockingIOError:
                raise EdgedenseError(
                    "one update at a time", f"another one of {self.folder.name}, which is not done", "wait for it"
                ) from None
            yield
        finally:
            os.close(descriptor)
