"""A new model for a service: which checks it must pass, what becomes of it, and the way back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edgedense.device.service import places, systemd, units, update
from edgedense.device.service.options import UpdateOptions
from edgedense.device.service.outcome import Check, Update
from edgedense.device.service.systemd import Service, ServiceStatus
from edgedense.device.versions import models, shadow, trial
from edgedense.device.versions.models import Models
from edgedense.device.versions.moments import Moment
from edgedense.errors import DeviceError, EdgedenseError
from edgedense.files import sha256
from tests.edgedense.test_cli import edgedense

NAMES = ["signature", "labels", "replay", "latency", "health"]  # of the checks, in their order
FAILED = {"SERVICE_RESULT": "exit-code", "EXIT_STATUS": "70"}


@dataclass
class Systemd:
    """In the place of systemd: a service that starts at once, and what else it does then."""

    is_active: bool = True
    state: str = "active (running)"
    starts: int = 0
    when_started: Callable[[], None] = lambda: None
    calls: list[tuple[str, ...]] = field(default_factory=list)

    def systemctl(self, *words: str) -> str:
        self.calls.append(words)
        if words[0] == "restart":
            self.starts += 1
            self.state = "active (running)"
            self.when_started()
        return ""

    def status(self, name: str) -> ServiceStatus:
        return ServiceStatus(name, True, self.state, "red seen", "", 0, str(self.starts))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folders, below one that is the test's own."""
    (tmp_path / "units").mkdir()
    (tmp_path / "state" / "door").mkdir(parents=True)
    monkeypatch.setattr(systemd, "UNITS", tmp_path / "units")
    monkeypatch.setattr(systemd, "TOKENS", tmp_path / "keys")
    monkeypatch.setattr(places, "STATE", tmp_path / "state")
    monkeypatch.setattr(models, "FOLDER", tmp_path / "models")
    monkeypatch.setattr(systemd.os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "anna")
    return tmp_path


@pytest.fixture
def system(place: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    """What is asked of systemd is answered at once, and the model is proved without a process of its own."""
    found = Systemd()
    for module in (update, units):
        monkeypatch.setattr(module, "systemctl", found.systemctl)
    monkeypatch.setattr(update, "status", found.status)
    monkeypatch.setattr(update, "STABLE", 0.02)
    monkeypatch.setattr(update, "HEALTH", 0.2)
    monkeypatch.setattr(update, "_LOOK_EVERY", 0.01)
    monkeypatch.setattr(update, "prove", lambda *_: (Check("replay", True, "same"), Check("latency", True, "1 ms")))
    return found


@pytest.fixture
def door(system: Systemd, colours: Path) -> Models:
    """The service `door` runs the colours."""
    service = Service("door", colours, None, "daemon", ("--smooth", "3"))
    service.unit_path.write_text(systemd.unit_text(service))
    found = Models.of("door")
    found.switch(found.keep({colours.name: colours.read_bytes()}), None)
    return found


def runs(kept: Models) -> str:
    assert kept.current
    return kept.current.path.name


def ask(path: Path, **options: object) -> Update:
    return update.update("door", path, UpdateOptions(**options))  # type: ignore[arg-type]


def outcomes(kept: Models) -> list[tuple[str, str]]:
    return [(change.who, change.outcome) for change in kept.changes]


def test_a_good_file_runs_and_the_old_one_stays(door: Models, system: Systemd, proved: Callable[..., Path]) -> None:
    before, new = door.current, proved("new.tflite")
    assert before
    result = ask(new)
    assert (result.outcome, result.before, result.after) == ("updated", before.sha256, sha256(new.read_bytes()))
    assert [check.name for check in result.checks] == NAMES
    assert all(check.passed for check in result.checks)
    assert (runs(door), door.previous) == ("new.tflite", before)
    assert system.calls == [("reset-failed", "door"), ("restart", "--no-block", "door")]  # the unit did not change
    assert outcomes(door) == [("anna", "on trial"), ("anna", "updated")]
    assert trial.current(door) == trial.Trial(result.after)


def test_again_is_harmless(door: Models, system: Systemd, proved: Callable[..., Path]) -> None:
    new = proved("new.tflite")
    ask(new)
    starts = system.starts
    result = ask(new)
    assert (result.outcome, result.before, result.after) == ("same", *[sha256(new.read_bytes())] * 2)
    assert system.starts == starts
    assert len(door.changes) == 2


@pytest.mark.parametrize("name", ["replay", "latency"])
def test_a_file_that_fails_on_this_machine_changes_nothing(
    door: Models, system: Systemd, proved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(
        update, "prove", lambda *_: [Check(one, one != name, "why not") for one in ("replay", "latency")]
    )
    result = ask(proved("new.tflite"))
    assert (result.outcome, result.checks[-1]) == ("refused", Check(name, False, "why not"))
    assert result.reason == f"new.tflite is not taken, {name}: why not"
    assert (runs(door), door.previous, system.calls) == ("colours.tflite", None, [])
    assert outcomes(door) == [("anna", "refused")]
    assert sum(path.is_dir() for path in door.folder.iterdir()) == 1  # nor is it kept


def test_a_file_that_is_not_whole(door: Models, tmp_path: Path, proved: Callable[..., Path]) -> None:
    half = tmp_path / "half.tflite"
    half.write_bytes(proved("new.tflite").read_bytes()[:-100])
    result = ask(half)
    assert (result.outcome, [check.name for check in result.checks]) == ("refused", ["file"])


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (("red", "green", "violet"), "other labels than the current model's: blue missing, violet new"),
        (("green", "red", "blue"), "they stand in another order"),
    ],
)
def test_other_labels_have_to_be_wanted(
    door: Models, proved: Callable[..., Path], labels: tuple[str, ...], found: str
) -> None:
    new = proved("new.tflite", labels=labels)
    result = ask(new)
    assert (result.outcome, result.checks[-1].name, runs(door)) == ("refused", "labels", "colours.tflite")
    assert found in result.reason
    assert "--force-labels" in result.reason
    assert ask(new, force_labels=True).outcome == "updated"
    assert runs(door) == "new.tflite"


def test_scores_that_mean_something_else_have_to_be_wanted(door: Models, proved: Callable[..., Path]) -> None:
    refused = ask(proved("new.tflite", activation="sigmoid"))
    assert "the scores come from sigmoid, those of the current model from softmax" in refused.reason
    ages = proved("ages.tflite", activation="none", unit="months")
    assert ask(ages, force_labels=True).outcome == "updated"
    assert "the unit is years" in ask(proved("ages.tflite", activation="none", unit="years")).reason


class TestSignature:
    @pytest.fixture
    def key(self, door: Models, tmp_path: Path) -> Path:
        """The public key is installed; this is the private one."""
        pytest.importorskip("cryptography")
        from edgedense.deployed import keys

        (tmp_path / "keys").mkdir()
        public = keys.make(tmp_path / "fleet.key")
        (tmp_path / "keys" / "door.pub").write_bytes(public.read_bytes())
        return tmp_path / "fleet.key"

    def test_it_must_be_there_once_a_key_is_installed(
        self, door: Models, key: Path, proved: Callable[..., Path]
    ) -> None:
        from edgedense.deployed import keys, signature

        new = proved("new.tflite")
        result = ask(new)
        assert (result.outcome, len(result.checks), runs(door)) == ("refused", 1, "colours.tflite")
        assert "which is not signed" in result.reason
        new.write_bytes(signature.signed(new.read_bytes(), keys.read_private(key)))
        signed = ask(new)
        assert signed.outcome == "updated"
        assert signed.checks[0].detail.startswith("signed with the key ")

    def test_another_key_is_not_enough(
        self, door: Models, key: Path, proved: Callable[..., Path], tmp_path: Path
    ) -> None:
        from edgedense.deployed import keys, signature

        keys.make(tmp_path / "other.key")
        new = proved("new.tflite")
        new.write_bytes(signature.signed(new.read_bytes(), keys.read_private(tmp_path / "other.key")))
        assert "signed with the key" in ask(new).reason
        assert runs(door) == "colours.tflite"

    def test_without_a_key_it_is_told_who_says_to_have_signed(
        self, door: Models, key: Path, proved: Callable[..., Path], tmp_path: Path
    ) -> None:
        from edgedense.deployed import keys, signature

        (tmp_path / "keys" / "door.pub").unlink()
        new = proved("new.tflite")
        new.write_bytes(signature.signed(new.read_bytes(), keys.read_private(key)))
        assert "it says that the key" in ask(new).checks[0].detail


def test_a_service_that_fails_three_times_has_gone_back_by_itself(
    door: Models, system: Systemd, proved: Callable[..., Path], place: Path
) -> None:
    """The guard runs after every end of the process, as the unit says."""

    def crash() -> None:
        system.state = "activating (auto-restart)"
        for second in range(3):
            trial.after_stop(door, place / "state" / "door", FAILED, Moment("b", float(second), 0.0, False))

    system.when_started = crash
    result = ask(proved("new.tflite"))
    assert (result.outcome, runs(door), door.previous) == ("rolled back", "colours.tflite", None)
    assert result.checks[-1] == Check("health", False, "it was taken back by itself")
    assert result.reason == (
        "new.tflite ran and failed: it failed 3 times within 10 minutes, at last with exit-code, 70."
    )
    assert outcomes(door) == [("anna", "on trial"), ("edgedense", "rolled back")]


def test_a_service_that_does_not_come_up_is_taken_back(
    door: Models, system: Systemd, proved: Callable[..., Path]
) -> None:
    def hang() -> None:
        system.state = "activating (start)"

    system.when_started = hang
    result = ask(proved("new.tflite"))
    assert (result.outcome, runs(door)) == ("rolled back", "colours.tflite")
    assert "door is activating (start)" in result.reason
    assert system.calls[-1] == ("restart", "--no-block", "door")


def test_a_service_that_a_person_has_stopped_stays_stopped(
    door: Models, system: Systemd, proved: Callable[..., Path]
) -> None:
    system.state = "inactive (dead)"
    result = ask(proved("new.tflite"))
    assert (result.outcome, runs(door), system.calls) == ("updated", "new.tflite", [])
    assert "is stopped, and was not started" in result.checks[-1].detail


class TestShadow:
    @pytest.fixture(autouse=True)
    def soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A minute takes no time."""
        clock = [0.0]

        def sleep(seconds: float) -> None:
            clock[0] += seconds

        monkeypatch.setattr(update.time, "sleep", sleep)
        monkeypatch.setattr(update.time, "monotonic", lambda: clock[0])

    def look_on(self, door: Models, place: Path, monkeypatch: pytest.MonkeyPatch, **found: object) -> None:
        """The running service writes this when it is ordered to."""
        real = shadow.order

        def order(kept: Models, model: models.Model, seconds: float) -> None:
            real(kept, model, seconds)
            report = {**vars(shadow.Agreement(model.sha256)), **found}
            (place / "state" / "door" / shadow.REPORT).write_text(json.dumps(report))

        monkeypatch.setattr(shadow, "order", order)

    def test_the_agreement_is_told(
        self, door: Models, proved: Callable[..., Path], place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.look_on(door, place, monkeypatch, frames=200, agreed=199, difference=0.01, old_ms=5.0, new_ms=4.0)
        result = ask(proved("new.tflite"), shadow=1.0)
        assert result.outcome == "updated"
        (check,) = [check for check in result.checks if check.name == "shadow"]
        assert check.detail == (
            "the same answer to 199 of 200 frames (99.5%), the largest difference 0.01 in the mean; "
            "4.0 ms, the current one 5.0 ms"
        )
        assert shadow.ordered(door) is None  # it looks on no more

    @pytest.mark.parametrize(
        ("found", "message"),
        [({"error": "RuntimeError: no"}, "RuntimeError: no"), ({}, "in 60 seconds there was no frame")],
    )
    def test_a_look_that_fails_refuses_the_file(
        self,
        door: Models,
        proved: Callable[..., Path],
        place: Path,
        monkeypatch: pytest.MonkeyPatch,
        found: dict[str, object],
        message: str,
    ) -> None:
        self.look_on(door, place, monkeypatch, **found)
        result = ask(proved("new.tflite"), shadow=1.0)
        assert (result.outcome, runs(door)) == ("refused", "colours.tflite")
        assert message in result.reason

    def test_a_service_that_does_not_run_sees_nothing(
        self, door: Models, system: Systemd, proved: Callable[..., Path]
    ) -> None:
        system.state = "activating (auto-restart)"
        assert "does not run" in ask(proved("new.tflite"), shadow=1.0).reason


class TestRollback:
    def test_back_and_forth(self, door: Models, system: Systemd, proved: Callable[..., Path]) -> None:
        ask(proved("new.tflite"))
        result = update.rollback("door")
        assert (result.outcome, runs(door)) == ("rolled back", "colours.tflite")
        assert trial.current(door) is None
        update.rollback("door")
        assert runs(door) == "new.tflite"
        assert outcomes(door)[2:] == [("anna", "rolled back")] * 2

    def test_there_must_be_something(self, door: Models) -> None:
        with pytest.raises(EdgedenseError, match="a previous model of door; found none"):
            update.rollback("door")

    def test_of_a_stopped_service(self, door: Models, system: Systemd, proved: Callable[..., Path]) -> None:
        ask(proved("new.tflite"))
        system.state = "inactive (dead)"
        system.calls.clear()
        assert "is stopped" in update.rollback("door").reason
        assert (runs(door), system.calls) == ("colours.tflite", [])

    def test_a_service_that_does_not_come_up(self, door: Models, system: Systemd, proved: Callable[..., Path]) -> None:
        ask(proved("new.tflite"))

        def hang() -> None:
            system.state = "activating (start)"

        system.when_started = hang
        with pytest.raises(DeviceError, match="activating"):
            update.rollback("door")


def test_a_switch_that_a_power_cut_prevented_is_noted(door: Models, proved: Callable[..., Path]) -> None:
    assert door.current
    new = door.keep({"new.tflite": b"new"})
    door.note(who="anna", before=door.current, after=new, outcome="on trial", why="so")
    ask(proved("other.tflite"))
    assert outcomes(door) == [
        ("anna", "on trial"),
        ("edgedense", "rolled back"),
        ("anna", "on trial"),
        ("anna", "updated"),
    ]
    assert "cut short" in door.changes[1].why


def test_an_installation_by_an_earlier_version_is_taken_over(
    system: Systemd, colours: Path, proved: Callable[..., Path], place: Path
) -> None:
    service = Service("door", colours, None, "daemon", ("--smooth", "3"))
    modern = systemd.unit_text(service)
    old = "".join(
        line
        for line in modern.replace(str(service.models.link), f'"{colours}"').splitlines(keepends=True)
        if not line.startswith(("ExecStopPost=", "StateDirectory"))
    ).replace(f" EDGEDENSE_MODELS={service.models.folder}", "")
    service.unit_path.write_text(old)
    assert units.read(service).model == colours
    result = ask(proved("new.tflite"))
    kept = Models.of("door")
    assert (result.outcome, result.before) == ("updated", sha256(colours.read_bytes()))
    assert (runs(kept), kept.previous.path.name if kept.previous else None) == ("new.tflite", colours.name)
    assert sorted(service.unit_path.read_text().splitlines()) == sorted(modern.splitlines())
    assert ("daemon-reload",) in system.calls
    assert outcomes(kept)[0] == ("anna", "installed")


def test_only_root_and_only_an_installed_service(
    door: Models, proved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EdgedenseError, match="an installed service gate"):
        update.update("gate", proved("new.tflite"), UpdateOptions())
    with pytest.raises(EdgedenseError, match="can be read"):
        ask(Path("none.tflite"))
    (systemd.UNITS / "own.service").write_text("[Service]\nExecStart=/bin/sleep 5\n")
    with pytest.raises(EdgedenseError, match="another command"):
        update.update("own", proved("new.tflite"), UpdateOptions())
    monkeypatch.setattr(systemd.os, "geteuid", lambda: 1000)
    for call in (lambda: ask(proved("new.tflite")), lambda: update.rollback("door")):
        with pytest.raises(EdgedenseError, match="sudo"):
            call()


class TestCommandLine:
    def test_one_json_object_and_an_exit_code(self, door: Models, proved: Callable[..., Path]) -> None:
        new = proved("new.tflite", labels=("a", "b", "c"))
        for words, code, outcome in (([], 1, "refused"), (["--force-labels"], 0, "updated"), ([], 0, "same")):
            ended = edgedense("service", "update", new, "--name", "door", "--json", *words)
            (line,) = ended.out.splitlines()
            assert (ended.code, Update.from_json(line).outcome) == (code, outcome)

    def test_for_people(self, door: Models, proved: Callable[..., Path]) -> None:
        ended = edgedense("service", "update", proved("new.tflite"), "--name", "door")
        assert ended.out.splitlines()[0].startswith("passed  signature: ")
        assert ended.out.splitlines()[-1].startswith("updated: door has new.tflite now")
        back = edgedense("service", "rollback", "--name", "door")
        assert (back.code, back.out.splitlines()[-1].split(":")[0]) == (0, "rolled back")
        listed = edgedense("service", "history", "--name", "door").out.splitlines()
        assert [line.split()[0] for line in listed] == ["when", "1", "2", "3"]
        told = json.loads(edgedense("service", "history", "--name", "door", "--json").out)
        assert [change["outcome"] for change in told] == ["on trial", "updated", "rolled back"]

    def test_a_history_of_nothing(self, place: Path) -> None:
        ended = edgedense("service", "history", "--name", "gate")
        assert (ended.code, "a history of gate" in ended.err) == (2, True)

    def test_status_tells_of_the_model(
        self, door: Models, proved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(systemd, "status", lambda name: ServiceStatus(name, True, "active (running)", "", "", 0))
        ask(proved("new.tflite"))
        lines = edgedense("service", "status", "--name", "door").out.splitlines()
        assert lines[1].startswith("model new.tflite (")
        assert lines[1].endswith(", on trial, failed 0 times")
        assert lines[2].startswith("before it colours.tflite (")
        assert ", anna: " in lines[3]
        assert " updated, " in lines[3]
        assert door.current
        trial.note_steady(places.STATE / "door", door.current.sha256)
        assert "on trial" not in edgedense("service", "status", "--name", "door").out.splitlines()[1]
