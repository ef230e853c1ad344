"""A warning fails a test, in the processes that a test starts as well; and which variants of tests are slow."""

from __future__ import annotations

import signal
from fnmatch import fnmatchcase

import pytest

# What pyproject.toml says to pytest reaches its own process alone. Deprecations are left out here: the environment
# knows no patterns of modules, so that those in other packages (tensorflow-model-optimization and setuptools have many)
# could not be told from ours. Ours show all the same, since tests import our modules in this process too.
FILTERS = "error,ignore::DeprecationWarning,ignore::PendingDeprecationWarning"
OTHERS = {"arm64", "legacy"}  # these tests install old and foreign packages, whose warnings are not ours


def pytest_configure() -> None:
    """Ctrl+C is a KeyboardInterrupt, and in the processes that tests start too. A shell that runs the tests in the
    background lets them ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def warnings_end_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """For as long as a test runs. Not while its fixtures of a wider scope are made: some call pip."""
    if not OTHERS & set(request.path.parts):
        monkeypatch.setenv("PYTHONWARNINGS", FILTERS)


NETWORKS = (
    *("hostile", "nested sigmoid", "rescaled", "norms in the head", "values"),
    *("normalization that cannot fold", "integer"),
)
# `make test` runs these variants of a test, `make test-slow` the others. Where a variant is one more network through
# the same code, a few networks tell soon enough that something broke.
QUICK = {
    "converters/quantization/test_heads.py::test_numpy_computes_what_tensorflow_does": ("softmax", "flatten"),
    "converters/quantization/test_heads.py::test_a_deployed_file": ("hidden",),
    "converters/readers/keras/test_description.py::test_read_without_what_training_needs": ("*-model.keras",),
    "converters/readers/keras/test_head.py::test_logits_are_those_of_keras": (
        *("keras-two poolings", "keras-attention", "keras-PReLU", "keras-GELU and LayerNormalization"),
        "tf_keras-convolution",
    ),
    "converters/readers/keras/test_reader.py::TestFiles::test_what_keras_2_wrote": ("densenet-*",),
    "converters/readers/keras/test_reader.py::TestFiles::test_h5_that_keras_3_wrote": ("hostile",),
    "converters/readers/keras/test_reader.py::TestHead::test_heads": ("keras-*[068]", "tf_keras-*1"),
    "converters/readers/keras/test_reader.py::TestPreprocessing::test_mode_that_turns_channels_around": ("keras",),
    "converters/readers/keras/test_reader.py::TestPreprocessing::test_normalization_layers": ("keras-model.keras",),
    "converters/readers/keras/test_reader.py::TestStructure::test_sizes": ("size0",),
    "converters/readers/keras/test_reader.py::TestStructure::test_stem_with_same_padding": (
        "size0-same0",
        "size1-same3",
    ),
    **{
        f"converters/test_pipeline.py::test_{name}": NETWORKS
        for name in (
            *("float_graph_keeps_keras_logits", "int8_is_close_to_float", "exactly_these_operators_are_float"),
            *("versions_that_old_runtimes_know", "what_only_moves_values_keeps_their_scale", "ends"),
            *("equal_quantization_vectors_are_stored_once", "what_is_stored_reads_back"),
        )
    },
    "converters/test_explain.py::test_it_is_what_keras_computes": ("softmax", "several sigmoids", "hidden"),
    "edgedense/test_api.py::TestConvert::test_a_model_in_memory": ("keras",),
    "edgedense/test_cli.py::TestConvertOptions::test_another_network": ("options3",),
    "edgedense/test_cli_explain.py::TestKeras::test_another_heatmap": ("options0",),
}


@pytest.hookimpl(tryfirst=True)  # before -m looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow variants. Of Keras 2's SavedModels those are all: TensorFlow takes seconds to write one."""
    kept = dict.fromkeys(QUICK, False)
    for item in items:
        name = item.nodeid.removeprefix("tests/").split("[")[0]
        variant = item.callspec.id if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ""
        is_quick = any(fnmatchcase(variant, pattern) for pattern in QUICK.get(name, "*"))
        if name in QUICK:
            kept[name] |= is_quick
        if not is_quick or "saved_model" in variant:
            item.add_marker(pytest.mark.slow)
    for name in kept:  # a table that speaks of tests that are gone
        modules = {item.nodeid.removeprefix("tests/").split("::")[0] for item in items}
        whole = name.split("::")[0] in modules and not any("::" in argument for argument in items[0].config.args)
        if whole and not kept[name]:
            raise pytest.UsageError(f"tests/conftest.py: no quick variant of {name} is left")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Stop where the tests of a group would run side by side: they make one environment, or one folder, together.

    pytest-xdist sends the tests of a group to one worker by what it appends to their names (--dist loadgroup).
    """
    for item in session.items:
        mark = item.get_closest_marker("xdist_group")
        if mark and getattr(session.config.option, "loadgroup", False) and f"@{mark.args[0]}" not in item.nodeid:
            raise pytest.UsageError(f"{item.nodeid} is not in its group: this pytest and pytest-xdist do not fit")
