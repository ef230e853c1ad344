"""examples/cpp: the program says what Python says, of every kind of file and picture, and refuses what it cannot do."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ai_edge_litert
import numpy as np
import pytest
from PIL import Image

from edgedense.converters import pipeline
from edgedense.converters.opening import Opening
from edgedense.converters.options import Options
from edgedense.deployed import bundle
from edgedense.device.classifier import Classifier
from edgedense.device.live.results import ImageResult
from edgedense.device.prediction import decide
from edgedense.images.preprocessing import load_image
from tests import models
from tests.pictures import fill, picture

pytestmark = pytest.mark.slow
keras = pytest.importorskip("keras")
SOURCE = Path(__file__).parents[2] / "examples/cpp"
CLOSE = 1e-6  # float32 resolves 6e-8 of a probability; both go through the same library's kernels
ABC = ("ape", "bat", "cat")
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as README.md says, with no warning."""
    folder, runtime = tmp_path_factory.mktemp("cpp"), Path(ai_edge_litert.__path__[0])
    configure = ["cmake", "-S", SOURCE, "-B", folder, f"-DLITERT_DIR={runtime}", "-DCMAKE_CXX_FLAGS=-Werror"]
    found = subprocess.run(configure, capture_output=True, text=True) if shutil.which("cmake") else None
    if found is None or found.returncode:
        why = "no cmake" if found is None else found.stderr[:500]
        pytest.skip(f"needs cmake, g++, pkg-config, libpng-dev, libturbojpeg0-dev and nlohmann-json3-dev: {why}")
    built = subprocess.run(["cmake", "--build", folder], capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "classify"


def pooled(k: Any, x: Any) -> Any:
    return k.layers.GlobalAveragePooling2D()(x)


def converted(folder: Path, outputs: int, activation: str | None, **options: Any) -> bytes:
    """A tiny network's file without labels. Its last layer is 9 times as steep as it comes, and around zero, so that
    scores differ."""
    model = models.densenet(head=models.classified(pooled, outputs, activation))
    inputs = np.random.default_rng(0).normal(0, 1, (20, 32, 32, 3))
    features = keras.Model(model.input, model.layers[-2].output).predict(inputs, verbose=0)
    kernel = 9 * model.layers[-1].get_weights()[0]
    model.layers[-1].set_weights([kernel, -np.median(features @ kernel, axis=0)])
    model.save(folder / "model.keras")
    fill(folder / "pictures", 12)
    chosen = Options(ranges="minmax", headroom=1.0, **options)
    return pipeline.convert(folder / "model.keras", folder / "pictures", None, chosen).data


def packed(data: bytes, labels: tuple[str, ...] = (), **changes: Any) -> bytes:
    """The same network with other labels and other entries of the recipe."""
    recipe = {**bundle.parse(data).recipe, **changes}
    return bundle.pack(bundle.without_archive(data), labels, recipe)


def prepared(data: bytes, **changes: Any) -> dict[str, Any]:
    """The recipe's preprocessing with other entries."""
    return {**bundle.parse(data).recipe["preprocessing"], **changes}


@pytest.fixture(scope="module")
def softmax(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return converted(tmp_path_factory.mktemp("softmax"), 3, "softmax")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, softmax: bytes) -> dict[str, Path]:
    """A file for each way in which a picture gets into the input, and in which scores become words."""

    def made(outputs: int, activation: str | None, **options: Any) -> bytes:
        return converted(tmp_path_factory.mktemp("model"), outputs, activation, **options)

    sigmoids, sigmoid = made(3, "sigmoid"), made(1, "sigmoid")
    two = made(2, "softmax", output_type="uint8", explain=True)
    contents = {
        "softmax": packed(softmax, ABC),
        "no labels": packed(softmax),
        "crop": packed(softmax, ABC, preprocessing=prepared(softmax, fit="crop")),
        "shorter side": packed(softmax, ABC, preprocessing=prepared(softmax, fit="crop", shorter_side=37)),
        "sigmoids": packed(sigmoids, ABC),
        "thresholds": packed(sigmoids, ABC, thresholds=[0.9, None, 0.2]),
        "sigmoid": packed(sigmoid, ("sick",)),
        "two labels": packed(sigmoid, ("healthy", "sick")),
        "pair": packed(sigmoid, ("healthy", "sick"), thresholds=[0.3]),
        "uint8, second output": packed(two, ("healthy", "säck")),
        "uint8, pair": packed(two, ("healthy", "sick"), thresholds=[None, 0.125]),
        "values": packed(made(2, None, opening=Opening(activation="none")), ("width", "age")),
    }
    folder = tmp_path_factory.mktemp("files")
    for name, content in contents.items():
        (folder / name).with_suffix(".tflite").write_bytes(content)
    return {name: (folder / name).with_suffix(".tflite") for name in contents}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Larger and smaller than the input, which is 32x32, of its size, and of every kind that the decoders know."""
    random, folder = np.random.default_rng(0), tmp_path_factory.mktemp("pictures")
    sizes = ((1, 1), (1, 50), (70, 2), (31, 33), (32, 32), (33, 32), (64, 64), (200, 300), (481, 130), (700, 701))
    for height, width in sizes:
        picture(random, height, width).save(folder / f"{height}x{width}.png")
    base = picture(random, 90, 120)
    for mode in ("L", "P", "1", "LA", "RGBA"):
        kind = base.convert(mode)
        if mode.endswith("A"):
            kind.putalpha(Image.fromarray(np.arange(90 * 120).reshape(90, 120).astype(np.uint8)))
        kind.save(folder / f"{mode}.png")
    base.convert("P", palette=Image.Palette.ADAPTIVE, colors=4).save(folder / "transparent.png", transparency=1, bits=2)
    Image.fromarray(random.integers(0, 1 << 16, (40, 50)).astype(np.uint16)).save(folder / "16.png")
    base.save(folder / "gamma.png", icc_profile=b"not used")
    for name, options in {
        "420": {"subsampling": "4:2:0"},
        "422": {"subsampling": "4:2:2", "quality": 20},
        "444": {"subsampling": "4:4:4", "quality": 95},
        "progressive": {"progressive": True},
    }.items():
        picture(random, 101, 135).save(folder / f"{name}.jpg", **options)
    base.convert("L").save(folder / "grey.jpg")
    return sorted(folder.iterdir())


def classify(program: Path, model: Path, pictures: list[Path], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, model, *pictures, *options], capture_output=True, text=True)


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def same(found: Any, expected: Any) -> bool:
    """The same words in the same order, and numbers that are close. Python rounds its own to six digits."""
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    return found == pytest.approx(expected, abs=CLOSE) if isinstance(expected, float) else found == expected


@pytest.mark.parametrize(
    "name",
    [
        *("softmax", "no labels", "crop", "shorter side", "sigmoids", "thresholds", "sigmoid", "two labels", "pair"),
        *("uint8, second output", "uint8, pair", "values"),
    ],
)
def test_the_program_says_what_python_says(
    program: Path, files: dict[str, Path], pictures: list[Path], name: str
) -> None:
    assert len(pictures) >= 20
    with Classifier(files[name]) as classifier:
        rows = [classifier.classify(load_image(path, classifier.preprocessing)) for path in pictures]
        labels, rule = classifier.labels, classifier.rule()
    assert np.stack(rows).std(axis=0).max() > 0.01  # else pictures that are mixed up could pass
    for top in (1, 2, 9):
        done = classify(program, files[name], pictures, "--top", str(top))
        assert done.returncode == 0, done.stderr
        for one, path, scores in zip(lines(done), pictures, rows, strict=True):
            exact = dict(zip(labels, scores.tolist(), strict=True))
            said = ImageResult(str(path), decide(scores, rule, top), 0.0).to_dict()
            for entry in said.get("top", []) + said.get("findings", []):
                entry["score"] = exact[entry["label"]]
            said.update({"values": exact} if "values" in said else {"score": exact.get(said["label"])})
            assert one.pop("latency_ms") > 0
            del said["latency_ms"]
            assert same(one, said), (one, said)


def test_thresholds_decide_both_ways(program: Path, files: dict[str, Path], pictures: list[Path]) -> None:
    """What the comparison above compares is not always the same word."""
    for name in ("softmax", "thresholds", "pair", "uint8, pair"):
        found = lines(classify(program, files[name], pictures))
        assert len({json.dumps([one["label"] for one in line.get("findings", [line])]) for line in found}) > 1, name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p.update(resize="pil-bilinear"), 'found resize "pil-bilinear"'),
        (lambda p: p.update(exif="apply"), 'found exif "apply"'),
        (lambda p: p.update(fit="pad"), 'found fit "pad"'),
        (lambda p: p.update(channels=1), "found channels 1"),
        (lambda p: p.update(steps=[{"kind": "flip"}]), "found steps"),
        (lambda p: p.update(rotate=True), "found rotate true"),
        (lambda p: p.pop("width"), "key 'width' not found"),
        (lambda p: p.update(width="32"), "must be number"),
        (lambda p: p.update(width=33), "an input of raw pixels, uint8 [1, height, width, 3], as in the recipe"),
        (lambda p: p.update(height=-1), "an input that a picture can be cut to"),
        (lambda p: p.update(shorter_side=31, fit="crop"), "an input that a picture can be cut to"),
    ],
)
def test_preprocessing_that_it_does_not_do_ends_it(
    program: Path, softmax: bytes, pictures: list[Path], tmp_path: Path, change: Change, words: str
) -> None:
    entry = prepared(softmax)
    change(entry)
    model = tmp_path / "model.tflite"
    model.write_bytes(packed(softmax, ABC, preprocessing=entry))
    refused(classify(program, model, pictures[:1]), words)


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert (done.returncode, done.stdout) == (2, ""), done
    for word in ("classify: ", "expected ", *words):
        assert word in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"activation": "tanh"}, "softmax, sigmoid or none; found tanh"),
        ({"thresholds": [0.5]}, "a threshold for each output"),
        ({"thresholds": [0.5, 2, 0.5]}, "thresholds between 0 and 1; found 2"),
        ({"thresholds": "0.5"}, "a recipe in the entry edgedense.json"),
        ({"preprocessing": None}, "a recipe in the entry edgedense.json"),
    ],
)
def test_a_recipe_that_makes_no_sense(
    program: Path, softmax: bytes, pictures: list[Path], tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(packed(softmax, ABC, **changes))
    refused(classify(program, model, pictures[:1]), words)


def test_wrong_and_damaged_files(program: Path, softmax: bytes, pictures: list[Path], tmp_path: Path) -> None:
    data, model = packed(softmax, ABC), tmp_path / "model.tflite"
    middle = data.index(b'"preprocessing"')
    for content, words in (
        (bundle.without_archive(data), "one without an archive at its end"),
        (data[:-30], "one without an archive at its end"),
        (data[:middle] + b"#" + data[middle + 1 :], "a damaged entry edgedense.json"),
        (data[-100:], "a .tflite file"),
        (b"", "a .tflite file"),
        (pictures[0].read_bytes(), "a .tflite file"),
        (packed(softmax, ("ape", "bat")), "a label for each of 3 outputs; found 2"),
        (b"\0\0\0\0TFL3" + data[8:], "a whole model"),
    ):
        model.write_bytes(content)
        refused(classify(program, model, pictures[:1]), words)
    refused(classify(program, tmp_path / "none.tflite", pictures[:1]), "No such file or directory")
    refused(classify(program, tmp_path, pictures[:1]), "Is a directory")


def test_pictures_that_cannot_be_read_hold_up_no_other(
    program: Path, files: dict[str, Path], pictures: list[Path], tmp_path: Path
) -> None:
    png = next(path for path in pictures if path.name == "200x300.png").read_bytes()
    jpg = next(path for path in pictures if path.suffix == ".jpg").read_bytes()
    Image.new("CMYK", (9, 9)).save(tmp_path / "cmyk.jpg")
    words = {"cmyk.jpg": "one in CMYK"}
    for name, content, word in (
        ("short.png", png[: len(png) // 2], "a whole PNG; found an end too early"),
        ("header.png", png[:20], "a whole PNG"),
        ("endless.png", png[:16] + b"\x7f\xff\xff\xff" + png[20:], "a whole PNG"),
        ("short.jpg", jpg[: len(jpg) // 2], "a whole JPEG; found Premature end of JPEG file"),
        ("header.jpg", jpg[:4], "a whole JPEG"),
        ("text.png", b"not a picture", "a JPEG or a PNG; found another kind of file"),
        ("empty.png", b"", "a JPEG or a PNG; found another kind of file"),
    ):
        (tmp_path / name).write_bytes(content)
        words[name] = word
    bad = [*(tmp_path / name for name in words), tmp_path / "missing.png"]
    done = classify(program, files["softmax"], [*bad, pictures[0]])
    assert done.returncode == 2
    assert [line["file"] for line in lines(done)] == [str(pictures[0])]
    said = done.stderr.splitlines()
    for path in bad:
        (line,) = (line for line in said if line.startswith(f"classify: {path}: expected "))
        assert words.get(path.name, "No such file or directory") in line


@pytest.mark.parametrize("options", [["--top"], ["--top", "0"], ["--top", "many"], ["--threads", "-1"], ["--tip", "1"]])
def test_wrong_words(program: Path, files: dict[str, Path], pictures: list[Path], options: list[str]) -> None:
    refused(classify(program, files["softmax"], pictures[:1], *options))


def test_nothing_to_do(program: Path, files: dict[str, Path]) -> None:
    refused(classify(program, files["softmax"], []), "classify MODEL.tflite PICTURE...", "found no picture")
