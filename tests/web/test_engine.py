"""web/src/engine in a real browser: scores and heatmaps are Python's, and whatever is wrong is told in words."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.deployed import bundle
from edgedense.device.classifier import Classifier
from edgedense.device.engines.contents import contents
from edgedense.explanations import colormap
from edgedense.files import sha256
from edgedense.images.preprocessing import load_bytes
from edgedense.website import runtime, site
from tests import models
from tests.browser.chromium import Browser
from tests.pictures import fill, picture
from tests.web import given
from tests.web.conftest import WEB, bundled
from tests.web.serving import call, shown

pytestmark = pytest.mark.slow
keras = pytest.importorskip("keras")
CLOSE = 1e-6  # float32 resolves 6e-8 of a probability; kernels for WebAssembly add up in another order
ABC = ("ape", "bat", "cat")
SOURCES = Path(__file__).parent
# Workers of browsers that lack something: the statement runs before the engine does.
LACKING = {
    "simd": "WebAssembly.validate = () => false",
    "memory": """const Whole = WebAssembly.Memory;
WebAssembly.Memory = function (options) {
  if (options.shared) throw new RangeError("could not allocate memory");
  return new Whole(options);
}""",
    "truth": """const read = OffscreenCanvasRenderingContext2D.prototype.getImageData;
OffscreenCanvasRenderingContext2D.prototype.getImageData = function (...place) {
  const found = read.apply(this, place);
  found.data[0] ^= 1;
  return found;
}""",
    "digest": "Object.defineProperty(crypto, 'subtle', { value: undefined })",
}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network with heatmaps and golden samples, whose scores differ from picture to picture."""
    from edgedense.converters import pipeline
    from edgedense.converters.options import Options

    folder = tmp_path_factory.mktemp("model")
    model = models.densenet(head=models.softmax_head)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([9 * kernel, bias])
    model.save(folder / "model.keras")
    fill(folder / "pictures", 12)
    options = Options(ranges="minmax", headroom=1.0, explain=True)
    data = pipeline.convert(folder / "model.keras", folder / "pictures", None, options).data
    content = bundle.parse(data)
    recipe = {**content.recipe, "preprocessing": {**content.recipe["preprocessing"], "fit": "crop"}}
    labels = tuple("abcde")
    kept = {name: entry for name, entry in content.entries.items() if name not in (bundle.RECIPE, bundle.LABELS)}
    (folder / "model.tflite").write_bytes(bundle.pack(bundle.without_archive(data), labels, recipe, kept))
    return folder / "model.tflite"


@pytest.fixture(scope="module")
def folder(deployed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its site, with the page of these tests, and the workers that lack something."""
    made = tmp_path_factory.mktemp("site")
    page = bundled(SOURCES / "engine_page.ts", made).name
    bundled(SOURCES / "acceleration_worker.ts", made)
    bundled(WEB / "src/engine/worker.ts", made)
    for name, statement in LACKING.items():
        (made / f"without-{name}.js").write_text(f"{statement};\nimportScripts('worker.js');\n")
    wasm = WEB / "node_modules" / runtime.NAME / "wasm"
    content = bundle.read(deployed)
    with Classifier(deployed) as classifier:
        rule = classifier.rule()
    built = site.make(
        deployed.name,
        "test",
        content,
        contents(content.model),
        rule,
        {name: (wasm / name).read_bytes() for name in runtime.FILES},
        {},
    )
    for path, data in built.files.items():
        (made / path).parent.mkdir(exist_ok=True)
        (made / path).write_bytes(data)
    (made / "index.html").write_text(f"<!doctype html><title>test</title><script src='{page}'></script>")
    return made


@pytest.fixture(scope="module")
def browser(folder: Path) -> Iterator[Browser]:
    with shown(folder) as browser:
        yield browser


@pytest.fixture(scope="module")
def opened(browser: Browser) -> dict[str, Any]:
    """The engine of the site as it is."""
    found: dict[str, Any] = call(browser, "open", {}, {})
    return found


def png(seed: int, height: int = 50, width: int = 60) -> bytes:
    target = io.BytesIO()
    picture(np.random.default_rng(seed), height, width).save(target, "PNG")
    return target.getvalue()


def told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "site.json").read_bytes())
    return found


def test_it_opens_with_one_thread_and_says_how_many_bytes_have_come(opened: dict[str, Any], folder: Path) -> None:
    one = "runtime/litert_wasm_internal"
    files = [f"{one}.js", f"{one}.wasm"]
    assert opened["opened"] == {"threads": 1, "accelerator": "wasm", "runtime": files}
    total = sum((folder / path).stat().st_size for path in ("model.tflite", *files))
    loaded = [now for now, _ in opened["heard"]]
    assert loaded == sorted(loaded)
    assert opened["heard"][-1] == [total, total]


@pytest.mark.usefixtures("opened")
def test_scores_and_heatmaps_are_pythons(browser: Browser, deployed: Path) -> None:
    with Classifier(deployed) as classifier:
        for seed in range(5):
            content = png(seed, 40 + 20 * seed, 80)
            answer = call(browser, "classify", given.encoded(content), "seen")
            scores = classifier.classify(load_bytes(content, classifier.preprocessing))
            np.testing.assert_allclose(answer["scores"], scores, atol=CLOSE)
            assert answer["preparing"] > 0
            assert answer["running"] > 0
            (one,), best = answer["heatmaps"], int(scores.argmax())
            assert (one["label"], one["score"]) == (classifier.labels[best], answer["scores"][best])
            found = np.reshape(one["values"], (one["height"], one["width"]))
            np.testing.assert_allclose(found, colormap.relative(classifier.heatmaps([best])[0]), atol=1e-5)
            window = classifier.preprocessing.window((40 + 20 * seed, 80))
            assert one["window"] == pytest.approx(window._asdict())
            assert call(browser, "classify", given.encoded(content), "none")["heatmaps"] == []


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("kind", ["ImageBitmap", "VideoFrame"])
def test_a_frame_is_classified_and_closed(kind: str, browser: Browser) -> None:
    content = given.encoded(png(0))
    found = call(browser, "frame", content, kind)
    assert found["width"] == 0
    # A frame of video has gone through the browser's own kinds of pixels, which round.
    scores = call(browser, "classify", content, "none")["scores"]
    np.testing.assert_allclose(found["scores"], scores, atol=CLOSE if kind == "ImageBitmap" else 0.05)


@pytest.mark.usefixtures("opened")
def test_golden_samples_and_a_benchmark(browser: Browser) -> None:
    found = call(browser, "replay")
    assert found["sentence"].startswith("12 samples equal")
    assert (found["samples"], found["passed"], found["flipped"]) == (12, True, 0)
    measured = call(browser, "benchmark", 4)
    assert (measured["runs"], measured["threads"]) == (4, 1)
    assert 0 < measured["median"] <= measured["slowest"]


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize(
    ("content", "expected", "found"),
    [
        (b"", "a picture as JPEG, PNG, WebP, GIF or BMP", "an empty file"),
        (b"II*\0 and more", "a picture as JPEG, PNG, WebP, GIF or BMP", "a TIFF"),
        (b"\xff\xd8\xff and no more", "a whole JPEG", "damaged data"),
        (b"\x89PNG\r\n\x1a\n and no more", "a whole PNG", "damaged data"),
    ],
)
def test_a_picture_that_cannot_be_read(content: bytes, expected: str, found: str, browser: Browser) -> None:
    problem = call(browser, "classify", given.encoded(content), "none")["problem"]
    assert problem["expected"] == expected
    assert problem["found"].startswith(found)


def test_threads_where_the_page_is_isolated(folder: Path) -> None:
    with shown(folder, isolated=True) as browser:
        several = min(os.cpu_count() or 1, 4)
        name = "litert_wasm_threaded_internal" if several > 1 else "litert_wasm_internal"
        opened = call(browser, "open", {}, {})["opened"]
        assert (opened["threads"], opened["runtime"][0]) == (several, f"runtime/{name}.js")
        assert call(browser, "replay")["passed"]
        without = call(browser, "open", {}, {"worker": "without-memory.js"})["opened"]
        assert (without["threads"], without["runtime"][0]) == (1, "runtime/litert_wasm_internal.js")
        assert call(browser, "replay")["passed"]


def changed(folder: Path, name: str, content: bytes) -> dict[str, Any]:
    """Another model in the site, that site.json speaks of."""
    (folder / name).write_bytes(content)
    return {"model": {"path": name, "bytes": len(content), "sha256": sha256(content)}}


def problems(folder: Path) -> dict[str, tuple[dict[str, Any], str, str, str]]:
    """Changes of site.json, the worker, and with what the words for what was expected and found begin."""
    site, data = told(folder), (folder / "model.tflite").read_bytes()
    size, worker = len(data), "worker.js"
    cut = {**site["model"], "bytes": size + 1}
    taken = {**site["input"], "height": 33}
    less = {**site["rule"], "labels": list(ABC), "thresholds": [None] * 3}
    no_runtime = [file for file in site["files"] if "runtime" not in file["path"]]
    sha = {**site["model"], "sha256": "0" * 64}
    sharp = {**site["preprocessing"], "resize": "sharp"}
    return {
        "cut off": ({"model": cut}, worker, f"model.tflite of {size + 1} bytes", f"{size} bytes"),
        "another": ({"model": sha}, worker, "model.tflite with the SHA-256 0000", "a file with"),
        "another, where the browser cannot say": (
            {"model": sha},
            "without-digest.js",
            "model.tflite with the SHA-256 0000",
            "a file with",
        ),
        "missing": ({"model": {**sha, "path": "no.tflite"}}, worker, "no.tflite from the server", "the answer 404"),
        "no model": (changed(folder, "text.tflite", b"text"), worker, "a model that LiteRT can run", "text.tflite"),
        "another input": ({"input": taken}, worker, "a model of uint8 [1, 33, 32, 3]", "uint8 [1, 32, 32, 3]"),
        "other labels": ({"rule": less}, worker, "an output float32 [1, 3]", "float32 [1, 5]"),
        "no runtime": ({"files": no_runtime}, worker, "the runtime of this site", "none among its files"),
        "no SIMD": ({}, "without-simd.js", "a browser with WebAssembly SIMD", "one without"),
        "false pixels": ({}, "without-truth.js", "a browser that gives this page the pixels", "one that changes them"),
        "no worker": ({}, "no.js", "the part of this page that classifies", ""),
        "unknown resizing": ({"preprocessing": sharp}, worker, "a way of resizing", "sharp"),
    }


def test_what_is_wrong_is_told(browser: Browser, folder: Path) -> None:
    for name, (changes, worker, expected, found) in problems(folder).items():
        outcome = call(browser, "open", changes, {"worker": worker})
        if name == "unknown resizing":
            outcome = call(browser, "classify", given.encoded(png(0)), "none")
        problem = outcome["problem"]
        assert problem["expected"].startswith(expected), (name, problem)
        assert problem["found"].startswith(found), (name, problem)
        assert problem["hint"], name
    without = call(browser, "open", {"golden": None}, {})
    assert without["opened"]["threads"] == 1
    assert call(browser, "replay")["problem"]["expected"] == "golden samples in the model's file"


def test_the_graphics_processor_where_it_is_as_good_and_faster(folder: Path) -> None:
    """Chromium's own one is computed, and so slower than WebAssembly: it counts as none until it is asked for."""
    options = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan,WebGPU")
    with shown(folder, *options) as browser:
        assert call(browser, "open", {}, {})["opened"]["accelerator"] == "wasm"
        asked = """(async (limit, change) => {
  const site = await (await fetch("site.json")).json();
  const worker = new Worker("acceleration_worker.js");
  const said = new Promise((resolve) => { worker.onmessage = ({ data }) => resolve(data); });
  worker.postMessage({ site: { ...site, golden: { ...site.golden, ...change } }, base: location.href, limit });
  return said;
})"""
        same, other = two_samples(folder)
        assert browser.value(f"{asked}(1e9, {json.dumps(same)})")["sentence"].startswith("2 samples equal")
        assert browser.value(f"{asked}(0, {json.dumps(same)})") is None
        assert browser.value(f"{asked}(1e9, {json.dumps(other)})") is None


def two_samples(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first two golden samples, and the same with labels that they do not have: twelve take long where the
    processor computes what a graphics processor would."""
    golden = told(folder)["golden"]
    inputs = (folder / golden["inputs"]["path"]).read_bytes()
    inputs = inputs[: len(inputs) // 6]
    (folder / "two.bin").write_bytes(inputs)
    outputs = np.frombuffer(base64.b64decode(golden["outputs"]), np.float32).reshape(12, 5)[:2]
    found = {"count": 2, "inputs": {"path": "two.bin", "bytes": len(inputs), "sha256": sha256(inputs)}}
    sure = np.eye(5, dtype=np.float32)[(outputs.argmax(axis=1) + 1) % 5]
    same, other = ({**found, "outputs": given.encoded(array)} for array in (outputs, sure))
    return same, other
