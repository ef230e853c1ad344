"""Are the figures right, and is a spoiled file caught?

    python benchmarks/drift.py FILE.tflite --reference MODEL.keras --data DIR [--layer NAME] [--max-drop POINTS]

DIR has one sub-folder per class, or is a table (.csv) of file names and labels.

Compares the figures of `edgedense validate` with those of scikit-learn on the same predictions. Then doubles the scale
of one layer in a copy of the file and shows what the gate, the noise layer by layer and the golden samples say of it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

from edgedense.cli.bars import bars
from edgedense.deployed import bundle
from edgedense.device import Classifier
from edgedense.device.engines.replay import keeping_interpreter, replay
from edgedense.images.preprocessing import load_image
from edgedense.measures import drift, findings, labelled, layer_noise, metrics, validation
from edgedense.notes import tell
from edgedense.progress import progress


def with_doubled_scale(content: bundle.Bundle, layer: str) -> tuple[bytes, str]:
    """(the file with the weights' scale of one layer doubled, that layer's name): of the layer whose name begins with
    `layer`, without one the convolution in the middle."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(bytearray(bundle.without_archive(content.model)), 0)
    graph = model.subgraphs[0]
    conv = schema.BuiltinOperator.CONV_2D
    convolutions = [op for op in graph.operators if model.operatorCodes[op.opcodeIndex].builtinCode == conv]
    named = [op for op in convolutions if graph.tensors[op.outputs[0]].name.decode().startswith(layer)]
    chosen = named[0] if layer else convolutions[len(convolutions) // 2]
    weights = graph.tensors[chosen.inputs[1]].quantization
    weights.scale = [2 * value for value in weights.scale]
    builder = flatbuffers.Builder(len(content.model))
    builder.Finish(model.Pack(builder), b"TFL3")
    entries = {name: data for name, data in content.entries.items() if name not in (bundle.LABELS, bundle.RECIPE)}
    spoiled = bundle.pack(bytes(builder.Output()), content.labels, content.recipe, entries)
    return spoiled, graph.tensors[chosen.outputs[0]].name.decode()


def beside_scikit_learn(found: drift.Drift, scores: np.ndarray, labels: np.ndarray) -> None:
    """Print our figures of the file under test beside scikit-learn's, and the largest difference."""
    from sklearn import metrics as sk

    decided, classes = scores.argmax(axis=1), range(scores.shape[1])
    ours = found.after
    rows = [
        ("accuracy", ours.accuracy, sk.accuracy_score(labels, decided)),
        ("confusion matrix", np.array(ours.confusion), sk.confusion_matrix(labels, decided, labels=classes)),
        *(
            (name, np.array([getattr(row, name) for row in ours.per_class]), column)
            for name, column in zip(
                ("precision", "recall", "f1", "support"),
                sk.precision_recall_fscore_support(labels, decided, labels=classes, zero_division=0),
                strict=True,
            )
        ),
        *(
            (
                f"AUROC, {ours.per_class[c].name}",
                metrics.auroc(scores[:, c], labels == c),
                sk.roc_auc_score(labels == c, scores[:, c]),
            )
            for c in (0, len(ours.per_class) - 1)
        ),
        *(
            (
                f"average precision, {ours.per_class[c].name}",
                metrics.average_precision(scores[:, c], labels == c),
                sk.average_precision_score(labels == c, scores[:, c]),
            )
            for c in (0, len(ours.per_class) - 1)
        ),
    ]
    if ours.top5 is not None:
        rows.append(("top-5", ours.top5, sk.top_k_accuracy_score(labels, scores, k=5, labels=classes)))
    for name, mine, theirs in rows:
        print(f"{name}: largest difference from scikit-learn {np.abs(np.asarray(mine) - np.asarray(theirs)).max():.1e}")


def findings_beside_scikit_learn(scores: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> None:
    """Print how far the figures of several findings are from scikit-learn's, with each class taken as scored alone."""
    from sklearn import metrics as sk

    truth, images = np.eye(len(names))[labels], [str(i) for i in range(len(labels))]
    found = findings.measure([scores], truth, [0.5] * len(names), names, models=["file"], images=images, draws=1)
    largest = dict.fromkeys(findings.FIGURES, 0.0)
    for k, finding in enumerate(found.scored.classes):
        real, score = truth[:, k], scores[:, k]
        said = score >= 0.5
        theirs = {
            "auroc": sk.roc_auc_score(real, score),
            "average_precision": sk.average_precision_score(real, score),
            "sensitivity": sk.recall_score(real, said),
            "specificity": sk.recall_score(real, said, pos_label=0),
            "positive_predictive_value": sk.precision_score(real, said, zero_division=np.nan),
            "negative_predictive_value": sk.precision_score(real, said, pos_label=0, zero_division=np.nan),
            "f1": sk.f1_score(real, said),
        }
        for name, value in theirs.items():
            own = getattr(finding.figures, name).value
            if own is not None:
                largest[name] = max(largest[name], abs(own - value))
    for name, difference in largest.items():
        print(f"{name} of each class alone: largest difference from scikit-learn {difference:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--layer", default="", help="the beginning of the name of the layer to spoil")
    parser.add_argument("--max-drop", type=float, default=0.5)
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from edgedense.converters.readers.reference import reference

    content = bundle.read(arguments.file)
    data, layer = with_doubled_scale(content, arguments.layer)
    with tempfile.TemporaryDirectory() as folder:
        spoiled = Path(folder) / "spoiled.tflite"
        spoiled.write_bytes(data)
        with Classifier(arguments.file) as good, Classifier(spoiled) as bad:
            images = labelled.read_labelled(arguments.data, good.labels)
            tell(images.notes)
            models = [
                reference(arguments.reference, good.preprocessing)[0],
                validation.deployed("good", [good]),
                validation.deployed("spoiled", [bad]),
            ]
            with progress("scoring", len(images.paths)) as tick:
                float_scores, good_scores, bad_scores = validation.score(images.paths, models, tick)
            pictures = [load_image(path, good.preprocessing)[None] for path in images.paths[:: len(images.paths) // 8]]
        for name, scores in (("as converted", good_scores), (f"scale of {layer} doubled", bad_scores)):
            found = drift.compare(
                float_scores, scores, images.labels, images.names, images=images.image_names, models=("float", name)
            )
            print(
                f"\n{name}: accuracy {100 * found.after.accuracy:.2f} %, drop {found.drop:+.2f} points "
                f"({found.drop_low:+.2f} to {found.drop_high:+.2f}), agreement {100 * found.agreement:.2f} %, mean KL "
                f"{found.kl_mean:.5f}: gate {'passed' if found.drop <= arguments.max_drop else 'FAILED'}"
            )
            beside_scikit_learn(found, scores, images.labels)
            findings_beside_scikit_learn(scores, images.labels, images.names)
        layers = layer_noise.between(keeping_interpreter(content.model), keeping_interpreter(data), pictures)
        print(f"\nnoise layer by layer begins at {layer_noise.sudden_fall(layers)}, of {len(layers)} layers")
        for path in (arguments.file, spoiled):
            result = replay(path)
            print(
                f"golden samples of {path.name}: {'passed' if result.passed else 'FAILED'}, "
                f"{sum(result.steps.values())} of {result.values} values off by up to "
                f"{max(result.steps, default=0)} steps,"
                f" {len(result.flipped)} of {result.probes} labels changed, first layer that differs: {result.suspect}"
            )


if __name__ == "__main__":
    with bars():
        main()
