"""The files of a site: what site.json says of a deployed file, and that nothing is asked of anybody else."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.deployed import bundle, golden, gradcam
from edgedense.device.engines.contents import contents
from edgedense.device.engines.interpreter import make_interpreter
from edgedense.device.prediction import Rule, rule
from edgedense.errors import EdgedenseError
from edgedense.files import sha256
from edgedense.images.preprocessing import Preprocessing
from edgedense.images.steps import Crop
from edgedense.website import runtime, site
from edgedense.website.site import Site
from tests.device.conftest import COLOURS, HEIGHT, RECIPE, WIDTH
from tests.edgedense.website.conftest import LITERT, made

ROOT = Path(__file__).parents[3]
# Addresses that stand in a site and are asked of nobody: names of formats, and of who wrote what.
NAMED = (
    *("http://www.w3.org/2000/svg", "http://www.apache.org/licenses/", "https://www.apache.org/licenses/"),
    "http://ns.adobe.com/xap/1.0/",  # what XMP data begin with in a JPEG file
)


def told(found: Site) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(found.files["site.json"])
    return entry


def of_bundle(content: bundle.Bundle, by: Rule | None = None) -> dict[str, Any]:
    by = rule(COLOURS, "softmax", 3) if by is None else by
    return told(site.make("m.tflite", "m", content, contents(content.model), by, LITERT))


class TestFiles:
    def test_each_is_told_of_with_its_length_and_hash(self, cards: Site) -> None:
        """All but site.json, which cannot hold its own hash."""
        listed = {entry["path"]: (entry["bytes"], entry["sha256"]) for entry in told(cards)["files"]}
        assert listed == {path: (len(data), sha256(data)) for path, data in cards.files.items() if path != "site.json"}
        assert {f"runtime/{name}" for name in LITERT} < set(listed)
        assert {"index.html", "app.js", "worker.js", "sw.js", "style.css", "licenses.txt"} < set(listed)
        assert cards.size == sum(len(data) for data in cards.files.values())

    def test_the_model_is_the_deployed_file_whole(self, cards: Site, colours: Path) -> None:
        """So that its hash is the one that people know."""
        assert cards.files["model.tflite"] == colours.read_bytes()
        assert told(cards)["model"]["sha256"] == sha256(colours.read_bytes())

    def test_the_same_file_gives_the_same_bytes(self, cards: Site, colours: Path) -> None:
        assert made(colours).files == cards.files

    def test_the_title_is_what_a_phone_installs(self, colours: Path) -> None:
        found = made(colours, 'Karten <b> "ü"')
        manifest = json.loads(found.files["manifest.webmanifest"])
        assert (manifest["name"], manifest["short_name"]) == ('Karten <b> "ü"',) * 2
        assert manifest["start_url"] == "./"
        assert told(found)["title"] == 'Karten <b> "ü"'

    def test_saved(self, cards: Site, tmp_path: Path) -> None:
        cards.save(str(tmp_path / "out"))
        assert (tmp_path / "out/runtime/litert_wasm_internal.wasm").read_bytes() == LITERT["litert_wasm_internal.wasm"]


class TestSiteJson:
    def test_ends_and_preprocessing(self, cards: Site) -> None:
        """Of the preprocessing every entry is there, also those that a recipe leaves out."""
        found = told(cards)
        assert found["input"] == {"height": HEIGHT, "width": WIDTH, "channels": 3}
        assert found["output"] == {"index": 0, "dtype": "float32", "scale": 1.0, "zero_point": 0}
        assert found["preprocessing"] == {
            **{"height": HEIGHT, "width": WIDTH, "normalize": "none", "resize": "bilinear", "exif": "ignore"},
            **{"steps": [], "fit": "stretch", "shorter_side": None, "channels": 3, "depth": 8},
        }
        assert (found["golden"], found["heatmaps"], found["activation"]) == (None, None, "softmax")

    def test_the_input_is_what_comes_behind_the_steps(self, colours: Path) -> None:
        content = bundle.read(colours)
        steps = Preprocessing(HEIGHT + 2, WIDTH, "none", steps=(Crop(1, 0, HEIGHT, WIDTH),))
        found = of_bundle(replace(content, recipe={**content.recipe, "preprocessing": steps.to_dict()}))
        assert found["input"]["height"] == HEIGHT
        (step,) = found["preprocessing"]["steps"]
        assert step == {"step": "crop", "top": 1, "left": 0, "height": HEIGHT, "width": WIDTH}

    @pytest.mark.parametrize(
        ("given", "kind", "thresholds"),
        [
            (rule(COLOURS, "softmax", 3), "best", [None, None, None]),
            (rule(COLOURS, "softmax", 3, 0.5), "best", [0.5, 0.5, 0.5]),
            (rule(COLOURS, "sigmoid", 3, None, (0.25, None, 1.0)), "each", [0.25, None, 1.0]),
            (rule(("no", "yes"), "sigmoid", 1, 0.25), "pair", [0.75, 0.25]),
            (rule(COLOURS, "none", 3, unit="months"), "values", [None, None, None]),
        ],
    )
    def test_rules_without_infinities(
        self, colours: Path, given: Rule, kind: str, thresholds: list[float | None]
    ) -> None:
        found = of_bundle(bundle.read(colours), given)["rule"]
        assert (found["kind"], found["thresholds"], found["unit"]) == (kind, thresholds, given.unit)
        assert found["labels"] == list(given.labels)

    def test_golden_samples(self, colours: Path) -> None:
        """The inputs as a file, the outputs as the deployed file has them."""
        content = bundle.read(colours)
        samples = golden.record(
            golden.raw_invoke(make_interpreter(content.model)),
            lambda pixels: np.full((len(pixels), 3), 1 / 3, np.float32),
            **{
                "height": HEIGHT,
                "width": WIDTH,
                "step": 1 / 256,
                "runtime": "ai-edge-litert 2.3.0",
                "machine": "x86_64",
            },
            count=2,
        )
        packed = bundle.pack(bundle.without_archive(content.model), COLOURS, RECIPE, {golden.ENTRY: samples.to_bytes()})
        found = site.make("m", "m", bundle.parse(packed), contents(packed), rule(COLOURS, "softmax", 3), LITERT)
        entry = told(found)["golden"]
        inputs = np.frombuffer(found.files["golden.bin"], np.uint8).reshape(2, HEIGHT, WIDTH, 3)
        np.testing.assert_array_equal(inputs, samples.inputs())
        outputs = np.frombuffer(base64.b64decode(entry["outputs"]), "<f4").reshape(2, 3)
        np.testing.assert_array_equal(outputs, samples.outputs)
        assert (entry["count"], entry["dtype"], entry["step"], entry["values"]) == (2, "float32", 1 / 256, None)
        assert (entry["runtime"], entry["machine"]) == ("ai-edge-litert 2.3.0", "x86_64")
        assert entry["inputs"] == {"path": "golden.bin", "bytes": inputs.size, "sha256": sha256(inputs.tobytes())}

    def test_heatmaps(self, explained_colours: Path) -> None:
        found = told(made(explained_colours))["heatmaps"]
        assert found["output"] == {"index": 1, "dtype": "float32", "scale": 1.0, "zero_point": 0}
        assert (found["height"], found["width"], found["channels"]) == (HEIGHT, WIDTH, 3)
        pool, dense = found["steps"]
        assert pool == {"kind": "pool", "pool": "avg"}
        assert (dense["kind"], dense["scale"]) == ("dense", None)
        assert (dense["kernel"]["dtype"], dense["kernel"]["shape"]) == ("float32", [3, 3])
        kernel = np.frombuffer(base64.b64decode(dense["kernel"]["data"]), "<f4").reshape(3, 3)
        np.testing.assert_array_equal(kernel, 0.05 * np.eye(3, dtype=np.float32))

    def test_every_kind_of_layer_of_a_head(self, explained_colours: Path) -> None:
        ones = np.ones(2, np.float32)
        head = gradcam.Head(
            (
                gradcam.WindowPool("max", (2, 3), (1, 2)),
                gradcam.Flatten(),
                gradcam.Dense(np.ones((4, 2), np.int8), ones, ones),
                gradcam.Affine(ones, ones),
                gradcam.Nonlinear("leaky_relu", 0.3),
            )
        )
        content = bundle.read(explained_colours)
        found = of_bundle(replace(content, entries={gradcam.ENTRY: head.to_bytes()}))["heatmaps"]["steps"]
        two = {"dtype": "float32", "shape": [2], "data": base64.b64encode(ones.tobytes()).decode()}
        eight = {"dtype": "int8", "shape": [4, 2], "data": base64.b64encode(b"\1" * 8).decode()}
        assert found == [
            {"kind": "window", "pool": "max", "size": [2, 3], "stride": [1, 2]},
            {"kind": "flatten"},
            {"kind": "dense", "kernel": eight, "bias": two, "scale": two},
            {"kind": "affine", "scale": two, "shift": two},
            {"kind": "nonlinear", "function": "leaky_relu", "alpha": 0.3},
        ]

    def test_a_feature_map_without_a_head_is_no_heatmap(self, colour_model: Callable[..., bytes]) -> None:
        model = bundle.pack(colour_model(explained=True), COLOURS, RECIPE)
        assert of_bundle(bundle.parse(model))["heatmaps"] is None


class TestRefused:
    def test_a_file_of_another_tool(self, colours: Path) -> None:
        """It does not say how a picture becomes its input, and a page cannot guess that."""
        content = bundle.Bundle(bundle.without_archive(colours.read_bytes()))
        with pytest.raises(
            EdgedenseError, match=r"m\.tflite without a recipe\. Try: make the file with edgedense convert"
        ):
            of_bundle(content)

    def test_damaged_golden_samples(self, colours: Path) -> None:
        content = bundle.read(colours)
        with pytest.raises(EdgedenseError, match="golden samples"):
            of_bundle(replace(content, entries={golden.ENTRY: b"{}"}))


def asked(text: str) -> list[str]:
    """The addresses of other hosts in a text that a page would ask, as far as they can be seen."""
    found = re.findall(r"(?:https?:|wss?:)?//[a-z0-9-]+(?:\.[a-z0-9-]+)+[^\s\"'`)<>\\]*", text, re.IGNORECASE)
    return [address for address in found if not address.startswith(NAMED)]


class TestNobodyElse:
    def test_no_file_of_the_page_names_another_host(self, cards: Site) -> None:
        """And its policy forbids the browser to ask one."""
        texts = {
            path: data
            for path, data in cards.files.items()
            if path.endswith((".html", ".js", ".css", ".svg", ".json", ".webmanifest"))
        }
        assert len(texts) > 6
        assert {path: found for path, data in texts.items() if (found := asked(data.decode()))} == {}
        policy = re.search(r'Security-Policy" content="([^"]*)"', cards.files["index.html"].decode())
        assert policy is not None
        rules = dict(part.strip().split(" ", 1) for part in policy[1].split(";"))
        assert rules["default-src"] == "'none'"
        allowed = {"'self'", "'none'", "'wasm-unsafe-eval'", "blob:", "data:"}
        assert {source for sources in rules.values() for source in sources.split()} <= allowed

    @pytest.mark.parametrize(
        "text",
        [
            'fetch("https://cdn.example.com/a.js")',
            "@import url(//fonts.example.com/css)",
            '<img src="http://a.example/b.png">',
            "new WebSocket('wss://a.example/')",
        ],
    )
    def test_one_would_be_seen(self, text: str) -> None:
        assert len(asked(text)) == 1
        assert asked('xmlns="http://www.w3.org/2000/svg"') == []

    @pytest.mark.slow
    def test_the_runtime_names_none_that_it_asks(self) -> None:
        """But in comments, which fill whole lines there."""
        scripts = [data.decode() for name, data in runtime.read().items() if name.endswith(".js")]
        code = ["\n".join(re.findall(r"^(?!\s*(?://|/?\*)).*$", script, re.MULTILINE)) for script in scripts]
        assert all(asked(script) for script in scripts)
        assert [address for text in code for address in asked(text)] == []
