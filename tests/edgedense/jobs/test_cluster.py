from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import edgedense
from edgedense.errors import EdgedenseError
from edgedense.jobs import cluster
from edgedense.jobs.jobs import Jobs, open_jobs
from edgedense.jobs.worker import TRIES
from edgedense.scoring import scorer
from edgedense.scoring.options import Scale
from tests import models, work
from tests.device.conftest import COLOURS, RECIPE, bundle, make_colour_model
from tests.pictures import fill

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}  # Ray takes no less memory


@pytest.fixture(scope="class")
def two_nodes() -> Iterator[Any]:
    """A real Ray cluster of two nodes with one processor each, on this machine."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    found.add_node(**NODE)
    yield found
    found.shutdown()


@pytest.fixture(scope="class")
def jobs(two_nodes: Any) -> Iterator[Jobs]:
    with open_jobs(two_nodes.address) as opened:
        yield opened


def kill_a_node(nodes: Any) -> None:
    """Kill the raylet of the second node, as a power cut does it."""
    (node,) = nodes.worker_nodes
    nodes.remove_node(node, allow_graceful=False)


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
class TestOnTwoNodes:
    """In one process, which starts the cluster once; the last ones take a node away."""

    def test_a_cluster_does_what_processes_do(self, jobs: Jobs, caplog: pytest.LogCaptureFixture) -> None:
        assert jobs.workers == 2
        assert list(jobs.each(work.tenfold, range(7))) == [0, 10, 20, 30, 40, 50, 60]
        cores, threads, _ = next(jobs.each(work.environment, [0]))
        assert (cores, threads) == (1, {"1"})
        results = jobs.each(work.refuse_two, range(100))
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(EdgedenseError, match="expected no two; found a two"):
            next(results)
        assert caplog.messages == ["saw 0", "saw 1", "saw 2"]
        with pytest.raises(ZeroDivisionError):
            list(jobs.each(work.divide, [1, 0]))

    def test_a_worker_keeps_what_its_work_has_opened(self, jobs: Jobs) -> None:
        found = list(jobs.each(work.Keeper(), range(40)))
        assert len(set(found)) == len({process for process, _ in found})

    def test_a_result_may_be_large(self, jobs: Jobs) -> None:
        sizes = [len(result) for result in jobs.each(work.zeros, [10_000_000] * 4)]
        assert sizes == [10_000_000] * 4  # from the other node's store

    def test_the_item_of_a_killed_worker_is_done_again(
        self, jobs: Jobs, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        ends = work.EndsItsProcess(tmp_path / "ends", item=3, times=TRIES - 1)
        assert list(jobs.each(ends, range(6))) == [0, 1, 2, 3, 4, 5]
        assert len(set(ends.lines)) == TRIES - 1
        ends = work.EndsItsProcess(tmp_path / "more", item=1, times=99)
        with pytest.raises(EdgedenseError, match="leaves its worker alive: 1; found 3 workers that ended at it"):
            list(jobs.each(ends, range(2)))
        assert len(ends.lines) == TRIES
        assert capfd.readouterr().out == ""  # Ray tells of lost workers where --json has its results

    def test_a_folder_that_a_machine_does_not_see_is_told_with_its_name(self, jobs: Jobs, tmp_path: Path) -> None:
        jobs.must_see(tmp_path)
        with pytest.raises(EdgedenseError, match=r"no .*/nowhere on \S+ \([\d.]+\)"):
            jobs.must_see(tmp_path, tmp_path / "nowhere")

    def test_machines_are_compared(
        self, jobs: Jobs, two_nodes: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        own = cluster._looker()()
        monkeypatch.setattr(cluster, "_looker", lambda: lambda: {**own, "edgedense": "0.0.1"})
        found = [(cluster._Machine("b", "10.0.0.2"), own)]
        with pytest.raises(EdgedenseError, match=r"expected edgedense 0\.0\.1 on every machine .*\(10\.0\.0\.2\)"):
            cluster._check(found)
        monkeypatch.setattr(cluster, "_looker", lambda: lambda: {**own, "numpy": "1.0"})
        cluster._check(found)
        assert [message.partition(":")[0] for message in caplog.messages] == [
            "figures may differ in the last digits from those of this machine alone"
        ]

    def test_stopping_early_ends_what_was_begun(self, jobs: Jobs) -> None:
        results = jobs.each(work.wait, [0.0, *[60.0] * 5])
        next(results)
        results.close()
        assert len(list(jobs.each(work.wait, [0.0] * 2))) == 2  # within the test's time: nobody waits for a minute

    def test_the_items_of_a_lost_node_are_done_by_the_other(self, jobs: Jobs, two_nodes: Any) -> None:
        results = jobs.each(work.in_tens, [0.5] * 12)
        assert next(results) == 5
        kill_a_node(two_nodes)
        assert list(results) == [5] * 11

    def test_a_validation_that_loses_a_node_gives_the_same_report(
        self, jobs: Jobs, two_nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(scorer, "PIECE", 16)
        (tmp_path / "colours.tflite").write_bytes(bundle.pack(make_colour_model(), labels=COLOURS, recipe=RECIPE))
        random = np.random.default_rng(0)
        for number in range(320):
            path = tmp_path / "pictures" / COLOURS[number % len(COLOURS)] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
        if not two_nodes.worker_nodes:
            two_nodes.add_node(**NODE)
        done: list[int] = []

        def listen(step: str, pictures: int, total: int) -> None:
            done.append(pictures)
            if len(two_nodes.worker_nodes) and 0 < pictures < total:
                kill_a_node(two_nodes)

        reports = [
            edgedense.validate(tmp_path / "colours.tflite", tmp_path / "pictures", scale=scale, progress=progress)
            for scale, progress in ((None, None), (Scale(ray=two_nodes.address), listen))
        ]
        assert not two_nodes.worker_nodes
        assert max(done) == 320
        assert reports[0].to_json() == reports[1].to_json()

    def test_a_search_that_loses_a_node_finds_the_same(self, jobs: Jobs, two_nodes: Any, tmp_path: Path) -> None:
        """The local processes and the cluster's workers compute with one thread each, to the same bits."""
        pytest.importorskip("optuna")
        pytest.importorskip("tensorflow")
        models.densenet(body=lambda keras, x: models.body(keras, x, growth=32)).save(tmp_path / "m.keras")
        for number, name in enumerate(("ant", "bee", "cow", "dog", "emu")):
            fill(tmp_path / "pictures" / name, 6, seed=number)
        if not two_nodes.worker_nodes:
            two_nodes.add_node(**NODE)

        def listen(step: str, done: int, total: int) -> None:
            if "cheap trials" in step and done and two_nodes.worker_nodes:
                kill_a_node(two_nodes)

        def search(out: str, ray: str | None, progress: Any) -> Any:
            return edgedense.search(
                *(tmp_path / "m.keras", tmp_path / "pictures"),
                validation=tmp_path / "pictures",
                recover=tmp_path / "pictures",
                **{"budget": "80%", "board": "pi5", "out": tmp_path / out, "ray": ray, "progress": progress},
                **{"trials": 4, "round": 4, "epochs": 1, "force": True, "processes": 2},
            )

        alone, together = search("alone", None, None), search("together", two_nodes.address, listen)
        assert not two_nodes.worker_nodes
        assert together.to_json().replace("/together/", "/alone/") == alone.to_json()
        files = [path.name for path in sorted((tmp_path / "alone").glob("*.tflite"))]
        assert {"unpruned.tflite", "prune-channels.tflite"} < set(files)
        for name in files:
            assert (tmp_path / "together" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


@pytest.mark.parametrize(
    "address", ["local", "somewhere", "ray://", "host:", "host:port", "http://host:80", "host:0", "host:65536"]
)
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(EdgedenseError, match="expected --ray auto, --ray HOST:PORT or --ray ray://HOST:PORT"):
        open_jobs(address)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_a_cluster_that_does_not_answer_is_told_at_once(address: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(EdgedenseError, match=f"a Ray cluster at {address}; found .*refused"), open_jobs(address):
        pass


def test_ray_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EdgedenseError, match="edgedense\\[scale\\]"), open_jobs("auto"):
        pass
