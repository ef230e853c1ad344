"""Do heatmaps show what the model looks at, is the device's heatmap that of the Keras model, and what does it cost?

    python benchmarks/explain.py MODEL.keras FILE.tflite DIR [--images 100] [--json FILE]

FILE.tflite was made from MODEL.keras by `edgedense convert --explain`; DIR holds pictures that neither has seen. Prints

- the correlation (Pearson) of the device's heatmap with Keras' Grad-CAM, for the class that the device sees;
- the cost of a heatmap in inferences, measured in turns with them, and what the second output adds to an inference, in
  processor time, which other programs on the machine change little;
- cascading randomization: the rank correlation (Spearman) of heatmaps before and after weights were made random;
- deletion and insertion: the area under the score, for the heatmap and for a random one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script, only its own folder is on the path

import numpy as np
import numpy.typing as npt

from benchmarks import processor
from benchmarks.deletion import areas, random_heat
from benchmarks.randomization import cascade
from edgedense.converters import explain
from edgedense.converters.calibration import normalization
from edgedense.converters.network.program import lower
from edgedense.converters.opening import Opening, recorded
from edgedense.converters.options import Resizing
from edgedense.converters.readers import door
from edgedense.converters.readers.scores import settled
from edgedense.deployed import bundle
from edgedense.device import Classifier
from edgedense.images.pictures import collect
from edgedense.images.preprocessing import Pixels, load_image
from edgedense.measures.masks import correlation

RANDOMIZED, DELETED = 8, 30  # pictures for the two sanity checks


def pearson(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    """The correlation of two maps of one shape; 0 where one of them is the same everywhere."""
    return correlation(one, other) or 0.0


def spearman(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    """The correlation of ranks; equal values share the mean of theirs."""
    return pearson(*(_ranks(np.asarray(a).reshape(-1)) for a in (one, other)))


def _ranks(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[inverse]


def without_features(content: bundle.Bundle) -> bytes:
    """The file without its second output and the operator that makes it."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(bytearray(bundle.without_archive(content.model)), 0)
    graph = model.subgraphs[0]
    scores, features = graph.outputs
    graph.outputs = [scores]
    graph.operators = [op for op in graph.operators if features not in op.outputs]
    builder = flatbuffers.Builder(len(content.model))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bundle.pack(bytes(builder.Output()), content.labels, content.recipe)


def beside_keras(model: explain.Model, classifier: Classifier, pixels: Sequence[Pixels]) -> npt.NDArray[np.float64]:
    """Pearson's correlation of the two heatmaps of the class that the device sees, for each picture."""
    found = []
    for start in range(0, len(pixels), explain.BATCH):
        batch = pixels[start : start + explain.BATCH]
        best, heats = [], []
        for picture in batch:
            best.append(int(classifier.classify(picture).argmax()))
            heats.append(classifier.heatmaps(best[-1:])[0])
        classes = sorted(set(best))
        _, expected = explain.heatmaps(model, np.stack(batch), classes)
        found += [
            pearson(heat, maps[classes.index(number)]) for heat, maps, number in zip(heats, expected, best, strict=True)
        ]
    return np.array(found)


def cost(file: Path, pixels: Sequence[Pixels], folder: Path) -> dict[str, float]:
    """Medians of processor time in milliseconds with one thread, taken in turns: an inference without the second
    output, one with it, and the heatmap behind it; `share` is all that is added, relative to the first."""
    plain = folder / "plain.tflite"
    plain.write_bytes(without_features(bundle.read(file)))
    times: list[list[float]] = []
    with Classifier(plain, threads=1) as bare, Classifier(file, threads=1) as full:
        for picture in [*pixels[:5], *pixels]:
            marks = [time.thread_time()]
            bare.classify(picture)
            marks.append(time.thread_time())
            best = int(full.classify(picture).argmax())
            marks.append(time.thread_time())
            full.heatmaps((best,))
            marks.append(time.thread_time())
            times.append(np.diff(marks).tolist())
    without, with_output, heat = 1e3 * np.median(times[5:], axis=0)
    return {
        "without": without,
        "with": with_output,
        "heatmap": heat,
        "share": (with_output + heat) / without - 1,
        "heatmap_share": heat / with_output,
    }


def randomized(model: Path, in_force: explain.Model, pixels: Sequence[Pixels], opening: Opening) -> dict[str, float]:
    """The mean rank correlation of heatmaps with those of the trained network, by the last part made random."""
    p = in_force.preprocessing
    source, _ = settled(door.read(model, opening), opening.activation)
    network = normalization.compose(source.network, p.normalize)
    batch = np.stack(pixels)
    scores, before = explain.heatmaps(in_force, batch)
    best = scores.argmax(axis=1)
    result = {}
    for part, changed in cascade(network):
        _, after = explain.heatmaps(replace(in_force, program=lower(changed)), batch, range(scores.shape[1]))
        result[part] = float(np.mean([spearman(before[i, 0], after[i, c]) for i, c in enumerate(best)]))
    return result


def deleted(classifier: Classifier, pixels: Sequence[Pixels]) -> dict[str, float]:
    """Mean areas for the heatmap and for a random one, and the share of pictures on which the heatmap is better."""
    rows = []
    for number, picture in enumerate(pixels):
        best = int(classifier.classify(picture).argmax())
        heat = classifier.heatmaps((best,))[0]

        def score(mixed: Pixels, best: int = best) -> float:
            return float(classifier.classify(mixed)[best])

        ours, chance = (areas(score, picture, one) for one in (heat, random_heat(heat.shape, number)))
        rows.append((ours.deletion, chance.deletion, ours.insertion, chance.insertion))
    table = np.array(rows)
    means = dict(
        zip(("deletion", "deletion_random", "insertion", "insertion_random"), table.mean(axis=0).tolist(), strict=True)
    )
    return {
        **means,
        "deletion_better": float((table[:, 0] < table[:, 1]).mean()),
        "insertion_better": float((table[:, 2] > table[:, 3]).mean()),
    }


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--trust-model", action="store_true", help="as in edgedense convert")
    arguments = parser.parse_args()
    here = processor.here()
    print(f"measured on {here}")
    paths = collect(arguments.pictures)
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, min(arguments.images, len(paths))).astype(int)]
    with Classifier(arguments.file, threads=1) as classifier, tempfile.TemporaryDirectory() as folder:
        classifier.require_classes({"the areas of deletion and insertion": True})
        p = classifier.preprocessing
        pixels = [load_image(path, p) for path in chosen]
        paid = cost(arguments.file, pixels, Path(folder))
        print(
            f"inference {paid['without']:.2f} ms, with the second output {paid['with']:.2f} ms, heatmap "
            f"{paid['heatmap']:.3f} ms ({paid['heatmap_share']:.1%} of the inference); together "
            f"{paid['share']:+.1%}"
        )
        checked = deleted(classifier, _some(pixels, DELETED))
        for name, better in (("deletion", "lower"), ("insertion", "higher")):
            print(
                f"{name}: area {checked[name]:.3f}, of a random map {checked[name + '_random']:.3f} ({better} is "
                f"better), better on {checked[name + '_better']:.0%} of the pictures"
            )
        opening = recorded(bundle.read(arguments.file).recipe, (p.height, p.width), arguments.trust_model)
        resizing = Resizing(p.resize, p.fit, p.shorter_side, exif=p.exif)
        model = explain.read(arguments.model, classifier.labels, p.normalize, resizing, opening)
        correlations = beside_keras(model, classifier, pixels)
        print(
            f"device and Keras, {len(pixels)} pictures: Pearson {np.median(correlations):.5f} in the median, "
            f"{correlations.min():.4f} at least"
        )
        parts = randomized(arguments.model, model, _some(pixels, RANDOMIZED), opening)
        for part, correlation in parts.items():
            print(f"random down to {part:12} rank correlation {correlation:+.2f}")
    if arguments.json:
        found = {
            processor.ENTRY: here.to_dict(),
            "images": len(pixels),
            "cost": paid,
            "deletion": checked,
            "randomized": parts,
            "pearson": {"median": float(np.median(correlations)), "least": float(correlations.min())},
        }
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


def _some(pixels: Sequence[Pixels], count: int) -> list[Pixels]:
    return [pixels[i] for i in np.linspace(0, len(pixels) - 1, min(count, len(pixels))).astype(int)]


if __name__ == "__main__":
    main()
