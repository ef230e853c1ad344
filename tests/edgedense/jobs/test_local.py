from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgedense.errors import EdgedenseError
from edgedense.images import memory
from edgedense.jobs.jobs import Jobs, open_jobs, that_fit
from edgedense.jobs.worker import THREADS, TRIES
from edgedense.workers import AHEAD, cores
from tests import work


@pytest.fixture(scope="module")
def jobs() -> Iterator[Jobs]:
    with open_jobs(workers=2) as opened:
        yield opened


def is_running(process: int) -> bool:
    """Whether it is there and no zombie, which in a container nobody may fetch."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(processes: list[int]) -> None:
    end = time.monotonic() + 10
    while any(map(is_running, processes)):
        assert time.monotonic() < end, [process for process in processes if is_running(process)]
        time.sleep(0.02)


def test_results_come_in_the_order_of_the_items(jobs: Jobs) -> None:
    assert list(jobs.each(work.tenfold, range(7))) == [0, 10, 20, 30, 40, 50, 60]
    assert list(jobs.each(work.tenfold, [])) == []


@pytest.mark.parametrize(
    ("free", "wanted"),
    [(None, 8), (100e9, 8), (9e9, 2), (1e9, 1)],  # the system does not say; room for all; for two; for less than one
)
def test_no_more_workers_than_the_memory_holds(
    monkeypatch: pytest.MonkeyPatch, free: float | None, wanted: int
) -> None:
    monkeypatch.setattr(memory, "available", lambda: free)
    monkeypatch.setattr("edgedense.jobs.jobs.cores", lambda: 8)
    assert that_fit(4) == wanted


def test_there_is_one_worker_a_core() -> None:
    with open_jobs() as opened:
        assert opened.workers == cores()
    with pytest.raises(EdgedenseError, match="expected 1 worker or more; found 0"):
        open_jobs(workers=0)


def test_workers_have_their_share_of_the_cores(jobs: Jobs) -> None:
    share = max(1, cores() // 2)
    assert next(jobs.each(work.environment, [0])) == (share, {str(share)}, False)
    assert cores() == len(os.sched_getaffinity(0))  # this process has its own
    assert not set(THREADS) & set(os.environ)


def test_no_more_is_taken_before_its_turn_than_said(jobs: Jobs) -> None:
    taken: list[int] = []
    results = jobs.each(work.tenfold, (taken.append(item) or item for item in range(1000)))
    assert next(results) == 0
    assert len(taken) == 2 * AHEAD
    results.close()


def test_errors_are_raised_at_their_turn_and_remarks_told(jobs: Jobs, caplog: pytest.LogCaptureFixture) -> None:
    results = jobs.each(work.refuse_two, range(100))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(EdgedenseError, match=r"expected no two; found a two\. Try: three") as caught:
        next(results)
    assert caught.value.hint == "three"
    assert caplog.messages == ["saw 0", "saw 1", "saw 2"]


def test_a_defect_keeps_its_kind_and_place(jobs: Jobs) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        list(jobs.each(work.divide, [1, 0]))
    assert "work.py" in str(caught.value.__cause__)  # the traceback in the other process


def test_a_worker_keeps_what_its_work_has_opened(jobs: Jobs) -> None:
    first = list(jobs.each(work.Keeper(), range(20)))
    assert len({process for process, _ in first}) == len(set(first)) <= 2
    again = list(jobs.each(work.Keeper(), range(20)))
    assert not set(first) & set(again)  # other work, though it is equal


def test_the_item_of_a_killed_process_is_done_again(
    jobs: Jobs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ends = work.EndsItsProcess(tmp_path / "ends", item=3, times=TRIES - 1)
    assert list(jobs.each(ends, range(6))) == [0, 1, 2, 3, 4, 5]
    assert len(set(ends.lines)) == TRIES - 1
    assert caplog.messages == ["a worker was lost 2 times at 3, which another has done"]


def test_an_item_that_takes_every_process_with_it_is_named(jobs: Jobs, tmp_path: Path) -> None:
    ends = work.EndsItsProcess(tmp_path / "ends", item=3, times=99)
    results = jobs.each(ends, range(6))
    assert [next(results), next(results), next(results)] == [0, 1, 2]
    with pytest.raises(EdgedenseError, match="leaves its worker alive: 3; found 3 workers that ended at it"):
        next(results)
    assert len(ends.lines) == TRIES
    assert list(jobs.each(work.tenfold, range(3))) == [0, 10, 20]  # these jobs can still be used


def test_a_process_that_is_killed_between_items_is_started_again(jobs: Jobs) -> None:
    idle = next(jobs.each(work.wait, [0.0]))
    os.kill(idle, signal.SIGKILL)
    wait_until_gone([idle])
    assert idle not in set(jobs.each(work.wait, [0.0] * 4))


def test_stopping_early_ends_what_was_begun(jobs: Jobs) -> None:
    results = jobs.each(work.wait, [0.0, *[60.0] * 5])
    first = next(results)
    began = time.monotonic()
    results.close()
    assert time.monotonic() - began < 10
    wait_until_gone([first])


def test_leaving_the_block_ends_the_processes_and_what_they_started(tmp_path: Path) -> None:
    files = [tmp_path / "pids.0", tmp_path / "pids.1"]
    with contextlib.suppress(KeyboardInterrupt), open_jobs(workers=2) as opened:

        def items() -> Iterator[int]:
            yield from (0, 1)
            while not all(file.exists() and " " in file.read_text() for file in files):
                time.sleep(0.02)
            raise KeyboardInterrupt

        list(opened.each(work.StartsAnother(tmp_path / "pids"), items()))
    wait_until_gone([int(word) for file in files for word in file.read_text().split()])


SCRIPT = """
import sys
from pathlib import Path
from edgedense.jobs.jobs import open_jobs
from tests.work import StartsAnother

def main():
    with open_jobs(workers=2) as jobs:
        list(jobs.each(StartsAnother(Path(sys.argv[1])), range(2)))
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_one_that_began_it(tmp_path: Path, ending: signal.Signals) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT + "\nif __name__ == '__main__':\n    main()\n")
    files = [tmp_path / "pids.0", tmp_path / "pids.1"]
    process = subprocess.Popen(
        [sys.executable, script, tmp_path / "pids"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # its group gets the signal, as from a terminal
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # tests may run in the background
    )
    while not all(file.exists() and " " in file.read_text() for file in files):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    if ending == signal.SIGINT:
        os.killpg(process.pid, ending)
    else:
        process.kill()
    _, said = process.communicate(timeout=20)
    wait_until_gone([int(word) for file in files for word in file.read_text().split()])
    assert said.count("Traceback") == (ending == signal.SIGINT)  # that of the script itself


def test_a_script_that_lacks_the_guard_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT + "\nmain()\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, script, tmp_path / "pids"], env=environment, capture_output=True, text=True)
    assert ended.returncode == 1
    assert 'do everything below if __name__ == "__main__":' in ended.stderr.splitlines()[-1]
