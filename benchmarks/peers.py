"""edgedense against the other int8 converters, on one model, in one run.

    python benchmarks/peers.py [--model M.keras --calibration DIR --data DIR]

Without arguments it takes the digits example. Every peer converts in a process of its own from the same model and the
same calibration pictures. Then all files run in turns in one process, on the same pictures, and score the same labelled
pictures. Decoding, resizing and, for the files that need it, normalizing are outside the timed part.

OpenVINO uses Intel's matrix extension (AMX) where the processor has one. `ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI` in the
environment makes it do without, as on processors that have none.

The processor and its flags are printed and stand in the JSON. `--against` sets the times beside those of an earlier
run, and refuses one of another processor; so does `--json` where the file is there already.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script, only its own folder is on the path

import numpy as np
from rich.console import Console

from benchmarks import figures, latency, processor, stage
from benchmarks.figures import Entry, Made, Study
from benchmarks.peer import Job, Peer, Runner
from benchmarks.processor import Processor
from edgedense.cli.bars import bars
from edgedense.deployed.bundle import without_archive
from edgedense.errors import EdgedenseError
from edgedense.files import write_atomically
from edgedense.images.pictures import find_classes
from edgedense.images.preprocessing import Normalization, Pixels, Preprocessing, load_image
from edgedense.measures.metrics import accuracy
from edgedense.progress import progress

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "digits"
EXAMPLE_IMAGES = Path("out") / "digits" / "images"  # where `make demo` puts them too
CALIBRATION_IMAGES = 200
WARMUPS = 5
PICTURES = 16  # different pictures in the latency rounds


def main() -> None:
    arguments = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 140)
    here = processor.here()
    try:
        earlier = processor.read(arguments.against, here) if arguments.against else None
        if arguments.json:
            processor.check_writable(arguments.json, here)
        console.print(f"measured on {here}", highlight=False)
        studies = list(_studies(arguments, console))
    except (EdgedenseError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    for study in studies if earlier else ():
        figures.show_against(study, earlier or {}, console)
    if arguments.json:
        write_atomically(arguments.json, figures.to_json(studies, _context(arguments, here)).encode())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="trained Keras model (default: the digits example)")
    parser.add_argument("--calibration", type=Path, help="folder of calibration pictures, or a table of them")
    parser.add_argument(
        "--data",
        type=Path,
        help="labelled pictures: a folder with one sub-folder per class, or a table; classes sorted as the model's",
    )
    parser.add_argument("--images", type=int, help="labelled pictures, evenly from the folder (default: all)")
    parser.add_argument(
        "--calibration-images",
        type=int,
        default=CALIBRATION_IMAGES,
        metavar="N",
        help=f"calibration pictures that each converter gets (default: {CALIBRATION_IMAGES})",
    )
    parser.add_argument("--preprocess", choices=get_args(Normalization), help="as in edgedense convert")
    parser.add_argument("--activation", choices=("softmax", "sigmoid"), help="as in edgedense convert")
    parser.add_argument("--output", metavar="NAME", help="as in edgedense convert")
    parser.add_argument("--trust-model", action="store_true", help="as in edgedense convert")
    parser.add_argument("--rounds", type=int, default=100, help="timed inferences of each peer (default: 100)")
    parser.add_argument("--threads", type=_threads, default=["1", "all"], help='such as "1,all", the default')
    parser.add_argument(
        "--latency-size", type=int, metavar="PIXELS", help="convert and time the same weights at this picture size too"
    )
    parser.add_argument(
        "--peers", type=_names, default=list(stage.registry()), metavar="NAMES", help=f"of {','.join(stage.registry())}"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the converted files and logs there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument(
        "--against", type=Path, metavar="FILE", help="an earlier --json of this processor: what has changed since"
    )
    arguments = parser.parse_args()
    given = [arguments.model, arguments.calibration, arguments.data]
    if any(given) and not all(given):
        parser.error("--model, --calibration and --data go together")
    if arguments.rounds < 1 or (arguments.images is not None and arguments.images < 1):
        parser.error("--rounds and --images need 1 or more")
    if arguments.calibration_images < 2:
        parser.error("--calibration-images needs 2 or more")
    return arguments


def _threads(text: str) -> list[str]:
    settings = text.split(",")
    if not all(setting == "all" or (setting.isdigit() and int(setting) > 0) for setting in settings):
        raise argparse.ArgumentTypeError(f'numbers or "all", separated by commas; found {text}')
    return settings


def _names(text: str) -> list[str]:
    names, known = text.split(","), stage.registry()
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"names of {','.join(known)}; found {','.join(unknown)}")
    return names


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _studies(arguments: argparse.Namespace, console: Console) -> Iterator[Study]:
    """The model as it is; then, where asked, at another size."""
    model, calibration, data = _inputs(arguments)
    paths, labels, _ = find_classes(data)
    chosen = np.linspace(0, len(paths) - 1, min(arguments.images or len(paths), len(paths))).round().astype(int)
    paths, labels = [paths[i] for i in chosen], labels[chosen]
    with _folder(arguments.keep) as folder:
        console.print(f"scoring {len(paths)} pictures with float Keras", highlight=False)
        answer = stage.call(
            "reference",
            {
                "model": str(model),
                "opening": {
                    "trust": arguments.trust_model,
                    "output": arguments.output,
                    "activation": arguments.activation,
                },
                "preprocess": arguments.preprocess,
                "paths": [str(path.resolve()) for path in paths],
                "scores": str(folder / "reference.npy"),
            },
            folder,
        )
        preprocessing = Preprocessing.from_dict(answer["preprocessing"])
        reference = np.load(folder / "reference.npy")
        images = arguments.calibration_images
        job = Job(Path(answer["model"]), calibration, images, preprocessing, folder, arguments.trust_model)
        study = _study(f"{model.name}, {answer['parameters']:,} parameters", job, arguments, console)
        runners = _time(study, job, paths, arguments)
        _score(study, runners, reference, paths, labels, preprocessing)
        study.reference_accuracy = accuracy(reference, labels)
        figures.show(study, console)
        yield study
        if size := arguments.latency_size:
            try:
                yield _resized(job, size, paths, arguments, console)
            except RuntimeError as error:
                console.print(f"\nno latency at {size}x{size}: {error}", markup=False)


def _resized(job: Job, size: int, paths: list[Path], arguments: argparse.Namespace, console: Console) -> Study:
    """The same weights at another size: files, conversion and latency. What it decides there means nothing."""
    folder = job.folder / str(size)
    folder.mkdir(exist_ok=True)
    resized = folder / "model.keras"
    request = {"model": str(job.model), "size": size, "resized": str(resized), "trust": job.trust}
    stage.call("resize", request, folder)
    preprocessing = Preprocessing(size, size, job.preprocessing.normalize)
    job = Job(resized, job.calibration, job.images, preprocessing, folder, job.trust)
    study = _study(f"the same weights at {size}x{size}", job, arguments, console)
    _time(study, job, paths, arguments)
    figures.show(study, console)
    return study


def _inputs(arguments: argparse.Namespace) -> tuple[Path, Path, Path]:
    if arguments.model:
        return arguments.model.resolve(), arguments.calibration.resolve(), arguments.data.resolve()
    model, images = EXAMPLE / "digits.keras", EXAMPLE_IMAGES.resolve()
    if not model.exists():
        raise EdgedenseError("the example's model", f"no {model}", "--model, --calibration and --data")
    made = subprocess.run([sys.executable, str(EXAMPLE / "images.py"), str(images)], check=False)
    if made.returncode:
        raise EdgedenseError(
            "the example's pictures",
            f"exit {made.returncode} of {EXAMPLE / 'images.py'}",
            "pip install 'edgedense[dev]'",
        )
    return model, images / "calibration", images / "test"


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    with nullcontext(str(keep)) if keep else tempfile.TemporaryDirectory(prefix="edgedense-bench-") as name:
        yield Path(name).resolve()


def _study(title: str, job: Job, arguments: argparse.Namespace, console: Console) -> Study:
    """Every peer's conversion. One that is not installed is skipped, one that fails says how."""
    entries = []
    for name in arguments.peers:
        peer = stage.registry()[name]
        entry = Entry(peer.name, peer.title, peer.settings)
        entries.append(entry)
        if missing := peer.missing():
            entry.problem = f"skipped, {missing}"
            continue
        console.print(
            f"{peer.title}: converting at {job.preprocessing.height}x{job.preprocessing.width}", highlight=False
        )
        try:
            entry.made = _make(peer, job)
        except RuntimeError as error:
            entry.problem = f"failed: {error}"
    threads = {setting: cores() if setting == "all" else int(setting) for setting in arguments.threads}
    return Study(title, job.preprocessing.height, job.preprocessing.width, entries, threads)


def _make(peer: Peer, job: Job) -> Made:
    folder = _peer_folder(peer.name, job)
    folder.mkdir(exist_ok=True)
    request = {"peer": peer.name, "job": replace(job, folder=folder).to_json()}
    converted = stage.call("convert", request, folder)
    path = Path(converted["path"])
    ran = stage.call("run", {**request, "path": str(path)}, folder)
    weights = path.with_suffix(".bin")  # OpenVINO keeps them beside the description
    size = path.stat().st_size + (weights.stat().st_size if weights.exists() else 0)
    bare = len(without_archive(path.read_bytes())) if path.suffix == ".tflite" else size
    return Made(
        path,
        size,
        bare,
        converted["seconds"],
        converted["cpu_seconds"],
        converted["import_seconds"],
        converted["peak_bytes"],
        ran["peak_bytes"],
        ran["loaded_bytes"],
        converted["versions"],
    )


def _peer_folder(name: str, job: Job) -> Path:
    return job.folder / name


def _time(study: Study, job: Job, paths: list[Path], arguments: argparse.Namespace) -> dict[str, Runner]:
    """Fills in latencies. Returns the runners of the last setting, for scoring."""
    spread = np.linspace(0, len(paths) - 1, min(PICTURES, len(paths))).astype(int)
    pictures = [load_image(paths[i], job.preprocessing) for i in spread]
    runners: dict[str, Runner] = {}
    for setting, count in study.threads.items():
        runners = _load(study, job, count)
        runs = {name: _turns(runner, pictures) for name, runner in runners.items()}
        with progress(f"timing, threads: {setting}", arguments.rounds) as tick:
            seconds = latency.interleave(runs, arguments.rounds, WARMUPS, tick=tick)
        timings = latency.summarize(seconds, figures.BASELINE, figures.SUBJECT)
        for entry in study.entries:
            if entry.name in timings:
                entry.latency[setting] = timings[entry.name]
    return runners


def _turns(runner: Runner, pictures: list[Pixels]) -> Any:
    prepared = [runner.prepare(pixels) for pixels in pictures]
    return lambda number: runner.infer(prepared[number % len(prepared)])


def _load(study: Study, job: Job, threads: int) -> dict[str, Runner]:
    runners = {}
    for entry in study.entries:
        if entry.made is None:
            continue
        try:
            runners[entry.name] = stage.registry()[entry.name].load(entry.made.path, job.preprocessing, threads)
        except Exception as error:  # whatever a runtime raises is that peer's result
            entry.problem = f"failed to load: {type(error).__name__}: {error}"
    return runners


def _score(
    study: Study,
    runners: dict[str, Runner],
    reference: np.ndarray,
    paths: list[Path],
    labels: np.ndarray,
    preprocessing: Preprocessing,
) -> None:
    scores: dict[str, list[np.ndarray]] = {name: [] for name in runners}
    with progress("scoring", len(paths)) as tick:
        for path in paths:
            pixels = load_image(path, preprocessing)
            for name, runner in runners.items():
                scores[name].append(runner.score(pixels).copy())
            tick(1)
    for entry in study.entries:
        if entry.name in scores:
            entry.quality = figures.quality(reference, np.stack(scores[entry.name]), labels)


def _context(arguments: argparse.Namespace, here: Processor) -> dict[str, Any]:
    """What the figures were measured with."""
    return {
        "command": shlex.join(sys.argv),
        "rounds": arguments.rounds,
        "warmups": WARMUPS,
        "calibration_images": arguments.calibration_images,
        "seed": stage.SEED,
        processor.ENTRY: here.to_dict(),
        "onednn_max_cpu_isa": os.environ.get("ONEDNN_MAX_CPU_ISA"),
        "cores": cores(),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


if __name__ == "__main__":
    with bars():
        main()
