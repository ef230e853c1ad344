"""Which processor a benchmark says that it ran on, and that figures of another one are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import figures, peers, processor
from benchmarks.processor import Processor
from edgedense.device.machine import Machine
from edgedense.errors import EdgedenseError
from tests.benchmarks.test_peers import _study as study

BOARDS = Path(__file__).resolve().parents[1] / "device" / "boards"
EPYC = Processor("AMD EPYC", ("avx2", "fma"), ("avx512f", "avx512_vnni", "avx_vnni", "amx_int8"))


def machine(folder: Path, cpuinfo: str) -> Machine:
    (folder / "proc").mkdir()
    (folder / "proc" / "cpuinfo").write_text(cpuinfo)
    return Machine(folder)


def test_an_x86_processor(tmp_path: Path) -> None:
    found = processor.here(machine(tmp_path, "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu fma sse2 avx2\n"))
    assert found == EPYC
    assert str(found) == "AMD EPYC (avx2 fma; no avx512f, avx512_vnni, avx_vnni, amx_int8)"


@pytest.mark.parametrize(
    ("board", "said"), [("pi4", "Cortex-A72 (asimd; no asimddp, i8mm)"), ("pi5", "Cortex-A76 (asimd asimddp; no i8mm)")]
)
def test_a_recorded_board(board: str, said: str) -> None:
    assert str(processor.here(Machine(BOARDS / board))) == said


def test_this_machine_has_a_name() -> None:
    assert processor.here().name


def written(path: Path, told: Processor | None = EPYC) -> Path:
    context = {} if told is None else {processor.ENTRY: told.to_dict()}
    path.write_text(figures.to_json([study()], context))
    return path


def test_figures_of_the_same_processor_are_read(tmp_path: Path) -> None:
    file = written(tmp_path / "bench.json")
    assert processor.read(file, EPYC)["studies"][0]["title"] == "study"
    processor.check_writable(file, EPYC)
    processor.check_writable(tmp_path / "new.json", EPYC)


def test_those_of_another_one_are_refused(tmp_path: Path) -> None:
    with_vnni = Processor("AMD EPYC", (*EPYC.has, "avx512f", "avx512_vnni"), ("avx_vnni", "amx_int8"))
    file = written(tmp_path / "bench.json")
    for refuse in (processor.read, processor.check_writable):
        with pytest.raises(EdgedenseError, match="figures of the same processor") as caught:
            refuse(file, with_vnni)
        assert "measured on AMD EPYC (avx2 fma; no avx512f" in caught.value.found


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"processor": "AMD EPYC"})])
def test_what_does_not_say_its_processor_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "old.json").write_text(content)
    with pytest.raises(EdgedenseError, match="expected figures"):
        processor.read(tmp_path / "old.json", EPYC)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EdgedenseError, match="No such file"):
        processor.read(tmp_path / "missing.json", EPYC)


@pytest.mark.parametrize("option", ["--json", "--against"])
def test_the_benchmark_refuses_before_it_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    file = written(tmp_path / "bench.json", Processor("another", (), ()))
    before = file.read_bytes()
    monkeypatch.setattr("sys.argv", ["peers.py", option, str(file)])
    monkeypatch.setattr(peers, "_studies", lambda *_: pytest.fail("it measured"))
    with pytest.raises(SystemExit, match="error: expected figures of the same processor"):
        peers.main()
    assert file.read_bytes() == before


def test_an_earlier_run_stands_beside_this_one() -> None:
    earlier = json.loads(figures.to_json([study()], {}))
    for entry in earlier["studies"][0]["entries"]:
        entry["latency"]["1"]["median"] *= 2
    del earlier["studies"][0]["entries"][1]  # the stock file was not timed then
    table = figures.against_table(study(), earlier)
    rows = list(zip(*(list(column.cells) for column in table.columns), strict=True))
    assert rows == [("Quick", "1", "20.00", "10.00", "0.500"), ("Stock", "1", "-", "20.00", "-")]
