"""What `make bench-arm64` prints, of counts and scores that are given: the counting itself needs an emulator."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgedense.boards import operators
from edgedense.converters.network.program import IMAGE, Op, Program
from edgedense.converters.quantization.quantize import quantize
from tests.arm64 import bench, by_operator, quality
from tests.arm64.bench import Row, entries, line, table
from tests.arm64.counting import CORES, PROGRAM, Count, Engine, Entry
from tests.arm64.engines import ENGINES
from tests.arm64.peers import NOT_RUN, PEERS
from tests.arm64.quality import Quality, judged, scored

LITERT = Engine("litert", Path("litert"))


def row(millions: float, quality: Quality | None = None) -> Row:
    counts = {core.name: Count(int(millions * 1e6), 0, 2_000, 1_000) for core in CORES}
    return Row(counts, quality)


class TestTable:
    def test_instructions_are_a_share_of_the_first_row_s(self) -> None:
        *_, first, second = table({"stock": row(300), "ours": row(240)}).splitlines()
        assert first == "| stock |" + " 300.0 M (1.000) | 2 k | 1 k |" * 2
        assert second == "| ours |" + " 240.0 M (0.800) | 2 k | 1 k |" * 2

    def test_scores_have_columns_of_their_own_where_there_are_any(self) -> None:
        scored = row(240, Quality(200, 0.975, 2.5e-7))
        assert "right" not in table({"ours": row(240)})
        head, *_, last = table({"ours": scored}).splitlines()
        assert head.endswith("| right, of pictures | scores on the boards apart from here |")
        assert last.endswith("| 97.5 % of 200 | 2.5e-07 |")
        assert last.count("|") == head.count("|")

    def test_a_row_that_is_printed_at_once_has_no_shares(self) -> None:
        assert line("ours", row(240)) == "| ours |" + " 240.0 M | 2 k | 1 k |" * 2


class TestEntries:
    def made(self, folder: Path, name: str, **changed: str) -> None:
        (folder / name).mkdir()
        told = {"title": name, "engine": "mnn", "file": f"/{name}", "packages": "/site", "program": "", **changed}
        (folder / name / "peer.json").write_text(json.dumps(told))

    def test_the_stock_file_comes_first_and_the_other_engines_behind_ours(self, tmp_path: Path) -> None:
        self.made(tmp_path, "stock", engine="", packages="")
        self.made(tmp_path, "mnn")
        found = entries(["ours=x.tflite"], tmp_path, LITERT)
        assert [entry.title for entry in found] == ["stock", "ours", "mnn"]
        assert [entry.engine for entry in found] == [LITERT, LITERT, Engine("mnn", Path("/site"))]
        assert [entry.takes_pixels for entry in found] == [False, True, False]

    def test_without_the_stock_file_ours_comes_first(self, tmp_path: Path) -> None:
        self.made(tmp_path, "mnn")
        assert [entry.title for entry in entries(["ours=x.tflite"], tmp_path, LITERT)] == ["ours", "mnn"]

    def test_one_that_was_left_out_has_no_row(self, tmp_path: Path) -> None:
        assert [entry.title for entry in entries(["ours=x.tflite"], tmp_path, LITERT)] == ["ours"]
        assert [entry.title for entry in entries(["ours=x.tflite"], None, LITERT)] == ["ours"]


class TestPeers:
    def test_every_engine_is_one_that_can_be_started(self) -> None:
        assert {peer.engine for peer in PEERS.values()} == {"", PROGRAM, *ENGINES} - {"litert"}

    def test_the_makefile_makes_every_one(self) -> None:
        text = Path("tests/arm64/peers.py").read_text()
        assert [name for name in PEERS if f'\n    "{name}": Peer(' in text] == list(PEERS)

    def test_what_is_not_run_has_a_reason(self) -> None:
        assert all(len(reason.split()) > 5 for reason in NOT_RUN.values())

    def test_python_or_the_program_is_started(self) -> None:
        python = Path("python3.11")
        assert LITERT.command(python, "score", "x")[1].endswith("score.py")
        assert LITERT.command(python, "count", 1, 2, "x")[2:] == ["litert", "1", "2", "x"]
        program = Engine(PROGRAM, Path("/peers/executorch/site"))
        assert program.command(python, "count", 1, 2, "x") == ["/peers/executorch/executorch", "count", "1", "2", "x"]


class TestQuality:
    def test_the_scores_on_the_boards_are_compared_with_those_here(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Here class 1 always wins; on the boards its score is a quarter lower."""
        pixels, labels = np.zeros((4, 1, 1, 3), np.uint8), np.array([1, 1, 1, 0])
        here, there = np.array([[0.25, 0.75]], np.float32), np.array([[0.25, 0.5]], np.float32)

        def subprocess_run(command: list[str], **_: object) -> None:
            Path(command[-1]).write_bytes(here.repeat(4, 0).tobytes())

        def start(*words: object) -> None:
            Path(str(words[-1])).write_bytes(there.repeat(2, 0).tobytes())

        monkeypatch.setattr(quality, "read", lambda *_: (pixels, labels))
        monkeypatch.setattr(quality.subprocess, "run", subprocess_run)
        monkeypatch.setattr(quality, "start", start)
        entry = Entry("ours", tmp_path / "x.tflite", LITERT, True)
        assert judged(entry, tmp_path, dict.fromkeys(CORES, tmp_path), tmp_path, 4, 2) == Quality(4, 0.75, 0.25)

    def test_values_and_scores_are_files_without_a_header(self, tmp_path: Path) -> None:
        def twice(file: Path, given: Path, found: Path) -> None:
            found.write_bytes((2 * np.fromfile(given, np.float32)).tobytes())

        assert scored(twice, tmp_path, np.array([[1, 2], [3, 4]])).tolist() == [[2, 4], [6, 8]]


OPS = (
    Op("conv", "a", (IMAGE,), np.ones((1, 1, 3, 4)), np.zeros(4)),
    Op("maximum", "b", ("a",), constant=np.zeros(4)),
    Op("conv", "c", ("b",), np.ones((3, 3, 4, 4)), np.zeros(4), same=True),
    Op("conv", "scores", ("c",), np.ones((1, 1, 4, 4)), np.zeros(4)),
)
SHAPES = {IMAGE: (6, 7, 3), **dict.fromkeys(("a", "b", "c", "scores"), (6, 7, 4))}
MODEL = quantize(Program(OPS, SHAPES), dict.fromkeys(SHAPES, (0.0, 255.0))).to_bytes()


class TestByOperator:
    def test_every_operator_is_in_one_file(self) -> None:
        found = {kind: len(operators.read(file)) for kind, file in by_operator.split(MODEL).items()}
        assert found == {"QUANTIZE": 1, "CONV_2D 1x1": 2, "MAXIMUM": 1, "CONV_2D of a window": 1, "DEQUANTIZE": 1}

    def test_the_operators_keep_their_shapes_and_read_inputs_of_the_file(self) -> None:
        from edgedense.converters.tflite import execute

        interpreter = execute.interpreter(by_operator.split(MODEL)["CONV_2D 1x1"])
        assert sorted(tuple(one["shape"]) for one in interpreter.get_input_details()) == [(1, 6, 7, 3), (1, 6, 7, 4)]
        interpreter.invoke()

    def test_the_table_ends_with_the_whole_file(self) -> None:
        counts = {"A72": {by_operator.WHOLE: 10_000_000, "PAD": 1_000_000, "CONV_2D 1x1": 8_000_000}}
        *_, first, second, last = by_operator.table(
            counts, {by_operator.WHOLE: 3, "PAD": 1, "CONV_2D 1x1": 1}
        ).splitlines()
        assert first == "| CONV_2D 1x1 | 1 | 8.00 M (80.0 %) |"
        assert second == "| PAD | 1 | 1.00 M (10.0 %) |"
        assert last == "| the whole file | 3 | 10.00 M (100.0 %) |"


def test_the_benchmark_says_what_it_takes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["bench.py", "--help"])
    with pytest.raises(SystemExit):
        bench.main()
    assert "--peers" in capsys.readouterr().out
