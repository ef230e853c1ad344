"""The rivals of a DenseNet as work for `Jobs.each`: each is trained and converted by itself, from paths alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgedense.converters import slimming
from edgedense.converters.given import Given, read
from edgedense.converters.network.graph import DenseNet
from edgedense.converters.network.program import lower
from edgedense.converters.options import Options, Slimming
from edgedense.converters.passes import rewriting
from edgedense.converters.recovery.distill import ending
from edgedense.converters.rivals.lessons import Lesson, lesson
from edgedense.converters.rivals.options import RIVALS, RivalOptions
from edgedense.converters.rivals.rival import Rival, convert_own, make, spec_of, untrained
from edgedense.deployed import bundle
from edgedense.errors import EdgedenseError

FEW = 2  # calibration pictures for a file of which only the operators matter


@dataclass(frozen=True)
class Making:
    """Makes the rival of a name: `Jobs.each(making, rivals.against)`.

    `model`, `calibration` and `labels` are what `convert` takes, and `options` say how the model is opened and its
    pictures are prepared; the pictures of `options.slimming.recover` are those to train on. `work` is a folder that all
    workers see: the DenseNet's scores of the pictures and each network's epochs are kept in it.
    """

    model: Path | str
    calibration: Any
    labels: tuple[str, ...] | None
    options: Options
    rivals: RivalOptions
    work: Path
    seed: int = 0

    def check(self) -> None:
        """Raise EdgedenseError, before anything is read, where rivals are to be trained and there are no pictures."""
        if self.rivals.trained and self.options.slimming.recover is None:
            raise EdgedenseError(
                f"--recover with --against {','.join(self.rivals.trained)}, which is trained here",
                "no pictures to train on",
                "--recover FOLDER: pictures like those the camera will see, no labels needed",
            )

    def __call__(self, name: str) -> Rival:
        """The rival, whose file carries labels, preprocessing and recipe like any that edgedense makes: `edgedense run`
        and `validate` take it. Raises what `given.read`, `make` and `convert_own` raise."""
        given = self._given
        network, pixels = given.source.network, given.pictures.pixels
        if name in RIVALS:
            spec = spec_of(self.rivals.against_epochs, self.seed)
            rival = make(name, self._lesson, pixels, spec, self.work, self.rivals.against_minutes)
        else:
            rival = convert_own(Path(name), pixels.shape[1:], network.classes, pixels)
        recipe = self._recipe(rival)
        return replace(rival, file=bundle.pack(rival.file, given.names, recipe), recipe=recipe)

    def untrained(self, name: str) -> bytes:
        """A file with the operators of the rival's, in seconds: nothing is trained. Raises what `given.read`, `make`
        and `convert_own` raise."""
        network, pixels = self._given.source.network, self._given.pictures.pixels
        if name in RIVALS:
            return untrained(name, pixels.shape[1:], network.classes, ending(lower(self._teacher)), pixels[:FEW])
        return convert_own(Path(name), pixels.shape[1:], network.classes, pixels[:FEW]).file

    @cached_property
    def _given(self) -> Given:
        """Without the pictures to train on, which may be many."""
        self.check()
        options = replace(self.options, slimming=Slimming())
        return read(self.model, self.calibration, self.labels, options, None)[0]

    @cached_property
    def _teacher(self) -> DenseNet:
        given = self._given
        probes = rewriting.probes_of(given.own)
        return rewriting.prepared(given.source, given.preprocessing, given.probes, probes)[0]

    @cached_property
    def _lesson(self) -> Lesson:
        given, options = self._given, replace(self.options.slimming, work=self.work)
        shown = given.pictures
        training = slimming.pictures_of(options, shown.pixels, shown.sha256, given.preprocessing, given.names)
        return lesson(self._teacher, training, work=self.work)

    def _recipe(self, rival: Rival) -> dict[str, Any]:
        given = self._given
        return {
            "edgedense": version("edgedense"),
            "preprocessing": given.preprocessing.to_dict(),
            "activation": given.source.activation,
            "source": {"name": rival.name, "parameters": rival.parameters},
            "teacher": {"name": given.source.name, "sha256": given.source.sha256},
            "calibration": {"sha256": given.pictures.sha256, "images": len(given.pictures.pixels)},
            "versions": {package: version(package) for package in ("tensorflow", "keras", "numpy")},
            "rival": rival.recipe,
        }
