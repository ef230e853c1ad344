"""What is done on a device, by a program that is sent there: `python3 -c TEXT STEP GIVEN`.

TEXT is this file, STEP the name of a function in STEPS, and GIVEN a JSON object with its arguments. The answer is one
JSON object on stdout: what the step returns, or {"problem": {"outcome", "expected", "found", "hint"}}.

edgedense may not be on the device yet, so this file imports the standard library alone. It starts on Python 3.7, so
that an old system is told what it lacks. It runs as root.

A folder PLACE holds all of it, and each part is whole whenever the connection or the power is cut:

    versions/KEY/       a virtual environment; it is complete when PACKAGE is in it, which is written last
    current             a link to the version that services run; it is exchanged in one step
    services/NAME.json  what a service was installed with; its public key is NAME.pub
    models/HASH/NAME    the model that came last; it is written under another name, and renamed when its hash is right
    wheels/HASH/NAME    a wheel, until it is installed
    measured/HASH/NAME  a model whose time is measured, until it is
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

PACKAGE = "deployed.json"  # in a version: what was installed
PYTHON = (3, 10)
PART = ".part"  # how the name of a file ends that is not whole yet
OLD = 24 * 3600.0  # seconds after which such a file is nobody's: a younger one may be on its way
LINES = 3  # of what a program said before it failed
FAILED = ("refused", "rolled back")  # outcomes of edgedense service update
BLOCK = 1 << 16  # bytes


class StepError(Exception):
    """Something that the user can mend. `told` has the fields of an EdgedenseError."""

    def __init__(self, expected: str, found: str, hint: str = "", outcome: str = "failed") -> None:
        super().__init__(expected, found, hint, outcome)
        self.told = {"outcome": outcome, "expected": expected, "found": found, "hint": hint}


def look(place: str, name: str, package: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    """What is there of what is wanted. Raises StepError where this system cannot do."""
    root = Path(place)
    found = _find(root, package)
    state = _service(name)
    if state is not None and state["python"] != str(_python(root)):
        raise StepError(
            f"a service {name} that runs {_python(root)}",
            state["python"] or "a unit that edgedense has not written",
            f"remove it on the device (edgedense service remove --name {name}), or deploy under another name",
        )
    return {**found, "has_model": _model(root, model).is_file()}


def find(place: str, package: dict[str, Any]) -> dict[str, Any]:
    """Whether the package is there, and what the device is: {"key", "extras", "has_package", "board"}. Raises StepError
    where this system cannot do."""
    root = Path(place)
    found = _find(root, package)
    runtime = _runtime(root / "versions" / found["key"]) if found["has_package"] else None
    return {**found, "board": {"model": _board(), "kernel": platform.release(), "runtime": runtime}}


def receive(place: str, folder: str, name: str, sha256: str, size: int) -> dict[str, Any]:
    """Write stdin to FOLDER/HASH/NAME. Raises StepError, and leaves nothing, where less arrives or something else."""
    path = Path(place) / folder / sha256[:16] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.glob(f".*{PART}"):
        if time.time() - old.stat().st_mtime > OLD:  # a cut of the power left it
            old.unlink()
    handle, part = tempfile.mkstemp(PART, ".", path.parent)
    try:
        found, count = hashlib.sha256(), 0
        with os.fdopen(handle, "wb") as file:
            for block in iter(lambda: sys.stdin.buffer.read(BLOCK), b""):
                file.write(block)
                found.update(block)
                count += len(block)
            file.flush()
            os.fsync(file.fileno())
        if found.hexdigest() != sha256:
            raise StepError(f"{size} bytes of {name}, whose SHA-256 begins with {sha256[:16]}", f"{count} other bytes")
        os.chmod(part, 0o644)
        os.replace(part, path)
        _sync(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
            path.parent.rmdir()  # where nothing else is in it
        raise
    return {}


def install(place: str, key: str, package: dict[str, Any], extras: list[str]) -> dict[str, Any]:
    """Make the virtual environment KEY with the package. Raises StepError, and leaves nothing, where that fails."""
    root = Path(place)
    folder, wheel = root / "versions" / key, root / "wheels" / str(package["sha256"])[:16]
    with _alone(root):
        if (folder / PACKAGE).is_file():
            return {}
        _remove_versions(root)
        python = str(folder / "bin" / "python")
        named = f"edgedense[{','.join(extras)}]" if extras else "edgedense"
        source = f" @ {(wheel / package['file']).as_uri()}" if package["sha256"] else f"=={package['version']}"
        pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
        try:
            # Debian's NumPy stays in use, which its picamera2 needs.
            make = [sys.executable, "-m", "venv", "--system-site-packages", str(folder)]
            _run(make, "venv to work", "sudo apt install python3-venv on the device")
            _run([*pip, named + source], "pip to install edgedense")
            _run([python, "-m", "edgedense.cli", "--version"], "edgedense to start")
            os.sync()
            entries = {"version": package["version"], "sha256": package["sha256"], "extras": extras}
            (folder / PACKAGE).write_text(json.dumps(entries) + "\n")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            shutil.rmtree(wheel, ignore_errors=True)
    return {}


def measure(place: str, key: str, model: dict[str, Any], seconds: float) -> dict[str, Any]:
    """How long a model takes on one thread, by `edgedense benchmark` of the version KEY: what that says of its run.
    The file goes afterwards. Raises StepError where it cannot run."""
    root = Path(place)
    path = root / "measured" / model["sha256"][:16] / model["file"]
    words = ["benchmark", str(path), "--threads", "1", "--duration", str(seconds), "--json"]
    try:
        with _alone(root):
            done = _ended([str(root / "versions" / key / "bin" / "python"), "-m", "edgedense.cli", *words])
    finally:
        shutil.rmtree(path.parent, ignore_errors=True)
    try:
        (run,) = json.loads(done.stdout)["runs"]
    except (ValueError, KeyError, TypeError):
        raise StepError("edgedense benchmark to run the model", _said(done)) from None
    return dict(run)


def serve(
    place: str,
    key: str,
    name: str,
    model: dict[str, Any],
    first: dict[str, Any],
    is_told: bool,
    update: list[str],
    patience: float,
) -> dict[str, Any]:
    """Have the service run the version KEY and the model. It has `patience` seconds to start.

    `first` is what the service is installed with where there is none. Where it was installed with something else, and
    somebody has told (`is_told`) what it is to have, it is installed anew. Returns {"update": what `edgedense service
    update --json` says, None where the service was installed, "note": what else there is to say}. Raises StepError
    where the service does not run afterwards, unless a person has stopped it: then it is not installed anew either.
    """
    root = Path(place)
    path = _model(root, model)
    with _alone(root):
        _use(root, key, name, patience)
        state, kept = _service(name), _installed(root, name)
        answer: dict[str, Any] = {"update": None, "note": ""}
        if state is None:
            _install(root, name, path, first)
        else:
            answer["update"] = _updated(root, [str(path), "--name", name, "--json", *update])
            if answer["update"]["outcome"] in FAILED:
                return answer
            if is_told and kept is not None and kept != first and not state["is_stopped"]:
                _install(root, name, path, first)
                answer["note"] = "the service has other options now"
        after = _started(name, patience)
        if after["is_stopped"]:
            answer["note"] = f"{name} is stopped there, and stays so"
        elif not after["runs"]:
            raise StepError(f"{name} to run", after["says"], f"journalctl -u {name} on the device")
        _remove_versions(root)
        for other in (root / "models").iterdir():  # services keep copies of their own
            if other != path.parent:
                shutil.rmtree(other, ignore_errors=True)
    return answer


def _find(root: Path, package: dict[str, Any]) -> dict[str, Any]:
    if sys.version_info[:2] < PYTHON:
        wanted = ".".join(map(str, PYTHON))
        raise StepError(f"Python {wanted} or newer on the device", platform.python_version(), "a newer system")
    current = _current(root)
    extras = package["extras"]
    if extras is None:
        extras = current[1]["extras"] if current else package["usual"]
    key = _key(package, extras)
    return {"key": key, "extras": extras, "has_package": (root / "versions" / key / PACKAGE).is_file()}


def _board() -> str:
    """What the machine calls itself: a board by its device tree, a PC by its firmware."""
    for path in ("/sys/firmware/devicetree/base/model", "/sys/class/dmi/id/product_name"):
        with contextlib.suppress(OSError):
            text = Path(path).read_bytes().replace(b"\0", b"").decode(errors="replace").strip()
            if text:
                return text
    return platform.machine()


def _runtime(version: Path) -> str:
    """Name and version of the runtime that a version of edgedense uses; empty where it has none."""
    names = "('ai-edge-litert', 'tflite-runtime')"
    program = (
        "import importlib.metadata as m\n"
        f"print(' '.join(f'{{d.name}} {{d.version}}' for n in {names} for d in m.distributions(name=n)))"
    )
    return _run([str(version / "bin" / "python"), "-c", program], "the version of the runtime").strip()


def _use(root: Path, key: str, name: str, patience: float) -> None:
    """Have the service run the version KEY with the model that it has. Where it ran before and does not then, it gets
    the version before back, and StepError is raised."""
    before, state = _current(root), _service(name)
    if before and before[0] == key:
        return
    _link(root, key)
    if state is None or not state["runs"]:
        return
    after = _restarted(name, patience)
    if not after["runs"]:
        if before:
            _link(root, before[0])
            _restarted(name, patience)
        raise StepError(
            f"{name} to run with the new edgedense",
            f"{after['says']}; the one before is back",
            f"journalctl -u {name} on the device",
            "rolled back",
        )


def _install(root: Path, name: str, model: Path, first: dict[str, Any]) -> None:
    """`edgedense service install`, and a record of what it was given."""
    user = ["--user", first["user"]] if first["user"] else []
    source = [first["source"]] if first["source"] else []
    key = ["--public-key", str(_key_path(root, name, first["public_key"]))] if first["public_key"] else []
    options = ["--", *first["options"]] if first["options"] else []
    command = [*_edgedense(root), "install", "--name", name, *user, *key, str(model), *source, *options]
    _run(command, "edgedense service install to work")
    _record(root, name).parent.mkdir(exist_ok=True)
    _record(root, name).write_text(json.dumps(first) + "\n")
    with contextlib.suppress(StepError):  # the start is under way; this waits for its end
        _systemctl("start", name)


def _key_path(root: Path, name: str, content: str) -> Path:
    path = root / "services" / f"{name}.pub"
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    return path


def _installed(root: Path, name: str) -> dict[str, Any] | None:
    """What the service was installed with; None where nobody has written it down."""
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads(_record(root, name).read_text()))
    return None


def _record(root: Path, name: str) -> Path:
    return root / "services" / f"{name}.json"


def _edgedense(root: Path) -> list[str]:
    return [str(_python(root)), "-m", "edgedense.cli", "service"]


def _updated(root: Path, words: list[str]) -> dict[str, Any]:
    """What `edgedense service update --json` says; its exit code 1 is one of its answers."""
    done = _ended([*_edgedense(root), "update", *words])
    answer = None
    with contextlib.suppress(ValueError):
        answer = json.loads(done.stdout)
    if not isinstance(answer, dict) or answer.get("outcome") not in ("updated", "same", *FAILED):
        raise StepError("an answer of edgedense service update", _said(done))
    return answer


def _model(root: Path, model: dict[str, Any]) -> Path:
    return Path(root / "models" / model["sha256"][:16] / model["file"])


def _python(root: Path) -> Path:
    """By its name through the link: a service whose unit holds it follows the link when it starts again."""
    return root / "current" / "bin" / "python"


def _current(root: Path) -> tuple[str, dict[str, Any]] | None:
    """(key, what was installed) of the version in use; None where there is none."""
    with contextlib.suppress(OSError, ValueError):
        key = Path(os.readlink(root / "current")).name
        return key, json.loads((root / "versions" / key / PACKAGE).read_text())
    return None


def _key(package: dict[str, Any], extras: list[str]) -> str:
    """The name of a version's folder: another wheel, or other extras, have another."""
    digest = hashlib.sha256(json.dumps([package["sha256"], sorted(extras)]).encode()).hexdigest()
    return f"{package['version']}-{digest[:8]}"


def _link(root: Path, key: str) -> None:
    """Make `current` lead to another version, in one step."""
    part = root / f".current{PART}"
    with contextlib.suppress(FileNotFoundError):
        part.unlink()
    part.symlink_to(Path("versions") / key)
    os.replace(part, root / "current")
    _sync(root)


def _remove_versions(root: Path) -> None:
    """All but the one in use, and the youngest other one."""
    current = _current(root)
    others = [path for path in (root / "versions").glob("*") if current is None or path.name != current[0]]
    whole = [path for path in others if (path / PACKAGE).is_file()]
    youngest = max(whole, key=lambda path: (path / PACKAGE).stat().st_mtime, default=None)
    for path in others:
        if path != youngest:
            shutil.rmtree(path, ignore_errors=True)


def _sync(folder: Path) -> None:
    """The names of files are kept over a cut of the power once their folder is written."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """No two deployments change a device at the same time. What is begun here is also ended: a cut connection does not
    stop it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StepError(
                "no other deployment at work on the device", "one", "give the command again in a while"
            ) from None
        yield


def _service(name: str) -> dict[str, Any] | None:
    """What systemd knows of a service; None where there is no such one."""
    shown = _systemctl("show", name, "--property", "LoadState,ActiveState,SubState,StatusText,ExecStart")
    entries = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if entries.get("LoadState") != "loaded":
        return None
    path = re.search(r"path=(.*?) ;", entries.get("ExecStart", ""))
    state = f"{entries.get('ActiveState')} ({entries.get('SubState')})"
    return {
        "python": path.group(1) if path else "",
        "runs": state == "active (running)",
        "is_stopped": state == "inactive (dead)",  # by a person: what fails is started again and again
        "says": ": ".join(filter(None, (state, entries.get("StatusText")))),
    }


def _restarted(name: str, patience: float) -> dict[str, Any]:
    """The state of a service that was restarted. systemctl waits until the start has succeeded or failed."""
    with contextlib.suppress(StepError):
        _systemctl("restart", name)
    return _started(name, patience)


def _started(name: str, patience: float) -> dict[str, Any]:
    """The state of a service once it runs, or once it had the time to."""
    end = time.monotonic() + patience
    while True:
        state = _service(name) or {"runs": False, "is_stopped": False, "says": "no such service"}
        if state["runs"] or state["is_stopped"] or time.monotonic() > end:
            return state
        time.sleep(0.5)


def _systemctl(*words: str) -> str:
    return _run(["systemctl", *words], f"systemctl {words[0]} to work")


def _run(command: list[str], expected: str, hint: str = "") -> str:
    """What a program writes to stdout. Raises StepError with its last lines where it fails."""
    done = _ended(command)
    if done.returncode:
        raise StepError(expected, _said(done), hint)
    return done.stdout


def _ended(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore"}
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            cwd="/",
            env=environment,
        )
    except FileNotFoundError:
        raise StepError(f"{command[0]} on the device", "no such program") from None


def _said(done: subprocess.CompletedProcess[str]) -> str:
    """The last lines of a program that failed."""
    lines = [line.strip() for line in (done.stderr.strip() or done.stdout).splitlines() if line.strip()]
    return " / ".join(lines[-LINES:]) or f"exit code {done.returncode}"


STEPS: dict[str, Any] = {
    "look": look,
    "receive": receive,
    "install": install,
    "serve": serve,
    "find": find,
    "measure": measure,
}


def main(step: str, given: str) -> NoReturn:
    """Do a step, and say on stdout how it went."""
    os.umask(0o022)  # the service's user must be able to read what root writes
    try:
        answer = STEPS[step](**json.loads(given))
    except StepError as problem:
        answer = {"problem": problem.told}
    except OSError as error:
        found = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
        answer = {"problem": StepError("room and permission on the device", found).told}
    print(json.dumps(answer), flush=True)
    sys.exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
