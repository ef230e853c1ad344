"""A new model for a service: checks, a look at the same frames, the switch, and the way back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edgedense.deployed import bundle
from edgedense.deployed.bundle import Bundle
from edgedense.device.service import admission, units
from edgedense.device.service.options import UpdateOptions
from edgedense.device.service.outcome import Check, Update
from edgedense.device.service.proving import prove
from edgedense.device.service.systemd import Service, require_root, status, systemctl
from edgedense.device.service.units import Unit
from edgedense.device.versions import history, shadow, trial
from edgedense.device.versions.models import Model, Models
from edgedense.errors import DeviceError, EdgedenseError, listed
from edgedense.files import sha256
from edgedense.notes import LOG
from edgedense.progress import progress

HEALTH = 300.0  # seconds until a service that was switched must run: three starts, each as long as systemd waits
STABLE = 5.0  # seconds for which it must then go on
STOPPED = "inactive (dead)"  # by a person: what failed is started again and again
_LOOK_EVERY = 0.5  # seconds between questions to systemd


def update(name: str, file: Path, options: UpdateOptions) -> Update:
    """Let the service run `file` from now on, if it passes every check. If it then fails, it runs the one from before.

    Whatever becomes of it stands in the history. Raises EdgedenseError when this is not root, there is no such service,
    the file cannot be read, or another update is under way; DeviceError when systemd does not do what it should.
    """
    require_root()
    service = Service(name, file, None, "")
    unit = units.read(service)
    files = admission.files_of(file, unit.option("--device") or "cpu")
    models = service.models
    with models.updating():
        _adopt(models, unit)
        complete(models)
        before = models.current
        if models.has(files):
            found = f"{name} runs {file.name} already."
            return Update("same", _hash(before), sha256(files[file.name]), found)
        return _Attempt(service, unit, models, before, files, options).run()


def _adopt(models: Models, unit: Unit) -> None:
    """Keep the model of an installation by an earlier version, which ran the file where it lay."""
    if models.current is not None or unit.model == models.link or not unit.model.is_file():
        return
    files = admission.files_of(unit.model, unit.option("--device") or "cpu")
    with models.changing():
        model = models.keep(files)
        models.switch(model, None)
        models.note(who=history.asking(), before=None, after=model, outcome="installed", why="as it was found")


def complete(models: Models) -> None:
    """Note where the last switch that the history speaks of was not made: the power was cut."""
    with models.changing():
        changes, current = models.changes, models.current
        last = next((change for change in reversed(changes) if change.outcome != "refused"), None)
        if last is not None and current is not None and last.after != current.sha256:
            failed = Model(last.after, current.path.with_name(last.file))
            models.note(
                who=history.ITSELF,
                before=failed,
                after=current,
                outcome="rolled back",
                why="the switch was cut short, so that the model from before still runs",
            )


class _Attempt:
    """One update. The checks are made in turn, and the first that fails is the last."""

    def __init__(
        self,
        service: Service,
        unit: Unit,
        models: Models,
        before: Model | None,
        files: dict[str, bytes],
        options: UpdateOptions,
    ) -> None:
        self._service, self._unit, self._models, self._before = service, unit, models, before
        self._files, self._options = files, options
        self._file, self._data = next(iter(files.items()))
        self._checks: list[Check] = []

    def run(self) -> Update:
        """Check, and switch when nothing failed."""
        for check in self._asked():
            self._checks.append(check)
            if not check.passed:
                return self._refused(check)
        return self._switch()

    def _asked(self) -> Iterator[Check]:
        try:
            content = bundle.parse(self._data, self._file)
        except EdgedenseError as error:
            yield Check("file", False, str(error))
            return
        yield self._signature(content)
        yield self._labels(content)
        new = self._models.keep(self._files)
        yield from prove(new, self._before, self._unit, self._options.max_slower)
        if self._options.shadow:
            yield self._look(new)

    def _signature(self, content: Bundle) -> Check:
        from edgedense.deployed import signature

        try:
            said = admission.require_signed(self._files, self._service.key_path)
            by = signature.signer(content, self._file)
        except EdgedenseError as error:
            return Check("signature", False, str(error))
        is_asked = self._service.key_path.is_file()
        return Check("signature", True, said if is_asked or by is None else f"{said}; it says that the key {by} did")

    def _labels(self, content: Bundle) -> Check:
        try:
            current = bundle.read(self._before.path) if self._before else None
        except EdgedenseError as error:
            return Check("labels", True, f"not compared, for the current model cannot be read: {error}")
        if current is None:
            return Check("labels", True, "there is no current model to compare with")
        found = _difference(current, content)
        if found and not self._options.force_labels:
            return Check("labels", False, f"{found}; --force-labels takes the file all the same")
        return Check("labels", True, found or f"the same {len(content.labels)} labels in the same order")

    def _look(self, new: Model) -> Check:
        """Both models on the same frames, for as long as was asked for."""
        name = self._service.name
        if not status(name).is_active:
            return Check("shadow", False, f"{name} does not run, so that there are no frames to look at")
        if units.modernize(self._unit, self._service):  # what runs was installed by an earlier version, and knows none
            restarted = restart(name, lambda: True)
            if not restarted.passed:
                return Check("shadow", False, restarted.detail)
        seconds = round(self._options.shadow * 60)
        state = self._service.state_folder
        try:
            shadow.order(self._models, new, seconds + 60)
            ends = time.monotonic() + seconds
            with progress("both models look", seconds) as tick:
                while (left := ends - time.monotonic()) > 0 and not shadow.report(state, new).error:
                    time.sleep(min(1.0, left))
                    tick(1)
            found = shadow.report(state, new)
        finally:
            shadow.withdraw(self._models)
        if found.error:
            return Check("shadow", False, found.error)
        if not found.frames:
            return Check("shadow", False, f"in {seconds} seconds there was no frame that both saw")
        return Check("shadow", True, str(found))

    def _switch(self) -> Update:
        models, new, before = self._models, self._models.keep(self._files), self._before
        was_stopped = status(self._service.name).state == STOPPED
        with models.changing():
            models.note(
                who=history.asking(), before=before, after=new, outcome="on trial", why="every check before was passed"
            )
            trial.begin(models, new.sha256)
            models.switch(new, before)
        units.modernize(self._unit, self._service)
        if was_stopped:
            self._checks.append(Check("health", True, f"{self._service.name} is stopped, and was not started for this"))
            return self._done(new, "it runs when the service is started")
        check = restart(self._service.name, lambda: models.current == new)
        self._checks.append(check)
        if check.passed:
            return self._done(new, check.detail)
        return self._back(new, check)

    def _back(self, new: Model, check: Check) -> Update:
        """The service failed: it has gone back by itself, or does so now."""
        with self._models.changing():
            said = trial.go_back(self._models, check.detail) if self._models.current == new else None
        if said:
            LOG.warning(said)
            systemctl("restart", "--no-block", self._service.name)
        why = self._models.changes[-1].why
        return Update(
            "rolled back", _hash(self._before), new.sha256, f"{self._file} ran and failed: {why}.", self._made
        )

    def _done(self, new: Model, reason: str) -> Update:
        name, before = self._service.name, self._before
        with self._models.changing():
            self._models.note(who=history.asking(), before=before, after=new, outcome="updated", why=reason)
            self._models.forget_others()
        return Update("updated", _hash(before), new.sha256, f"{name} has {self._file} now: {reason}.", self._made)

    def _refused(self, check: Check) -> Update:
        models, digest = self._models, sha256(self._data)
        why = f"{check.name}: {check.detail}"
        with models.changing():
            after = Model(digest, Path(self._file))
            models.note(who=history.asking(), before=self._before, after=after, outcome="refused", why=why)
            models.forget_others()
        return Update("refused", _hash(self._before), digest, f"{self._file} is not taken, {why}", self._made)

    @property
    def _made(self) -> tuple[Check, ...]:
        return tuple(self._checks)


def rollback(name: str) -> Update:
    """Let the service run its previous model again; another one goes forth again. Its outcome is "rolled back".

    Raises EdgedenseError when this is not root, or there is nothing to go back to; DeviceError when the service does
    not run with it.
    """
    require_root()
    service = Service(name, Path(), None, "")
    units.read(service)
    models = service.models
    with models.updating():
        complete(models)
        current, previous = models.current, models.previous
        if current is None or previous is None:
            raise EdgedenseError(f"a previous model of {name}", "none", "edgedense service update FILE, with the file")
        was_stopped = status(name).state == STOPPED
        with models.changing():
            trial.end(models)
            models.switch(previous, current)
            who = history.asking()
            models.note(who=who, before=current, after=previous, outcome="rolled back", why="service rollback")
        found = f"{name} has {previous.path.name} again"
        if was_stopped:
            return Update("rolled back", current.sha256, previous.sha256, f"{found}, and is stopped.")
        check = restart(name, lambda: models.current == previous)
        if not check.passed:
            raise DeviceError(f"{name} to run with {previous.path.name}", check.detail, f"journalctl -u {name}")
        return Update("rolled back", current.sha256, previous.sha256, f"{found}, {check.detail}.", (check,))


def restart(name: str, is_wanted: Callable[[], bool]) -> Check:
    """Restart a service and wait until it runs and goes on running; no longer where another model than the one that
    `is_wanted` has come, for it went back by itself."""
    before = status(name).invocation
    systemctl("reset-failed", name)
    systemctl("restart", "--no-block", name)
    ends, since = time.monotonic() + HEALTH, None
    found = status(name)
    while time.monotonic() < ends:
        found = status(name)
        if not is_wanted():
            return Check("health", False, "it was taken back by itself")
        if found.is_active and found.invocation != before:
            since = since or time.monotonic()
            if time.monotonic() - since >= STABLE:
                return Check("health", True, f"it started, and ran on for {STABLE:.0f} seconds")
        else:
            since = None
        time.sleep(_LOOK_EVERY)
    return Check("health", False, f"after {HEALTH:.0f} seconds {name} is {found.state}")


def _difference(current: Bundle, new: Bundle) -> str:
    """In what the files do not mean the same, in a clause; empty where they do."""
    meant = [content.recipe.get("activation", "softmax") for content in (current, new)]
    if meant[0] != meant[1]:
        return f"the scores come from {meant[1]}, those of the current model from {meant[0]}"
    if current.unit != new.unit:
        return f"the unit is {new.unit or 'none'}, that of the current model {current.unit or 'none'}"
    if current.labels == new.labels:
        return ""
    gone = [label for label in current.labels if label not in new.labels]
    come = [label for label in new.labels if label not in current.labels]
    named = [f"{listed(gone)} missing"] * bool(gone) + [f"{listed(come)} new"] * bool(come)
    return f"other labels than the current model's: {', '.join(named) or 'they stand in another order'}"


def _hash(model: Model | None) -> str | None:
    return None if model is None else model.sha256
