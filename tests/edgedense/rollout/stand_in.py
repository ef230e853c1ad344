"""edgedense on a device, as far as a workstation knows it: `service install`, `service update --json`, `benchmark` and
`--version`.

It stands for the real one, which needs systemd. The folder $HOME/services/NAME is the service NAME. A file "refuses" or
"slow" in $HOME has it do so; "measured" there holds the models whose time was measured, one a line.
"""

import hashlib
import json
import os
import sys
import time
from pathlib import Path

HOME = Path(os.environ["HOME"])
VERSION = "9.9.9"


def sha256(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def write(name: str, model: str, words: list[str]) -> None:
    service = HOME / "services" / name
    service.mkdir(parents=True, exist_ok=True)
    # The Python that the unit names, as the real one has it from sys.executable.
    entries = {"python": os.environ["STAND_IN"], "model": sha256(model), "words": json.dumps(words), "state": "active"}
    for entry, text in entries.items():
        (service / entry).write_text(text)


def install(words: list[str]) -> int:
    name = words[words.index("--name") + 1]
    model = next(word for word in words if word.endswith(".tflite"))
    if not Path(model).is_file():
        print("edgedense: expected a model", file=sys.stderr)
        return 2
    write(name, model, words)
    return 0


def update(words: list[str]) -> int:
    model, name = words[0], words[words.index("--name") + 1]
    assert "--json" in words
    service = HOME / "services" / name
    before, new = (service / "model").read_text(), sha256(model)
    if (HOME / "slow").exists():
        (HOME / "begun").touch()
        time.sleep(3)
    refuses = (HOME / "refuses").exists() and before != new
    outcome = "refused" if refuses else "same" if before == new else "updated"
    if outcome == "updated":
        write(name, model, json.loads((service / "words").read_text()))
    reason = "expected the golden samples to agree; found 3 of 10 values off" if refuses else ""
    after = before if refuses else new
    print(json.dumps({"outcome": outcome, "before": before, "after": after, "reason": reason, "checks": []}))
    return int(refuses)


def benchmark(words: list[str]) -> int:
    """As long as the model is large, one millisecond for each thousand bytes."""
    if (HOME / "refuses").exists():
        print("edgedense: expected a model; found none", file=sys.stderr)
        return 2
    with (HOME / "measured").open("a") as file:
        file.write(f"{sha256(words[0])} {' '.join(words[1:])}\n")
    verdict = "it got hot" if (HOME / "slow").exists() else ""
    print(json.dumps({"runs": [{"median_ms": Path(words[0]).stat().st_size / 1000, "verdict": verdict}]}))
    return 0


def main() -> int:
    words = sys.argv[1:]
    if not words:  # `python -c` asks which runtime there is
        print("ai-edge-litert 2.1.6")
        return 0
    if words[0] == "benchmark":
        return benchmark(words[1:])
    if words == ["--version"]:
        print(f"edgedense {VERSION}")
        return 0
    return {"install": install, "update": update}[words[1]](words[2:])


if __name__ == "__main__":
    sys.exit(main())
