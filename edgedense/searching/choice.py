"""What makes one file: the options of `convert`, as Python takes them and as they are typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from edgedense.converters.options import Criterion, Estimator, NormForm, Options, Slimming
from edgedense.images.tables import Table

Size = tuple[int, int]


@dataclass(frozen=True)
class Choice:
    """The options of `convert` that a search decides. At their defaults they are the plain conversion.

    `size` is (height, width) where it is not the model's own. `ranges` None: `convert` chooses estimator and headroom
    itself. `epochs` 0: nothing is trained.
    """

    prune_channels: float | None = None
    importance: Criterion = "taylor"
    size: Size | None = None
    form: NormForm = "maximum"
    float_layers: tuple[str, ...] = ()
    ranges: Estimator | None = None
    headroom: float | None = None
    epochs: int = 0

    def options(self, base: Options, recover: Path | Table | None, work: Path | None) -> Options:
        """`base` with these; `recover` are the pictures to train on, and `work` keeps the training's checkpoints."""
        return replace(
            base,
            opening=base.opening if self.size is None else base.opening.at(self.size),
            ranges=self.ranges,
            headroom=self.headroom,
            form=self.form,
            float_layers=self.float_layers,
            slimming=Slimming(
                prune_channels=self.prune_channels,
                importance=self.importance,
                recover=recover if self.epochs else None,
                epochs=self.epochs or None,
                work=work if self.epochs else None,
            ),
        )

    @property
    def settings(self) -> dict[str, Any]:
        """What is not at its default, by name."""
        default = Choice()
        changed = {name: value for name, value in asdict(self).items() if value != getattr(default, name)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in changed.items()}

    @property
    def words(self) -> list[str]:
        """What is typed for it behind `convert`, less the pictures to train on."""
        size = None if self.size is None else self.size[0]
        options = {
            "--prune-channels": self.prune_channels,
            "--importance": self.importance if self.importance != Choice().importance else None,
            "--input-size": size,
            "--form": self.form if self.form != Choice().form else None,
            "--float-layers": ",".join(self.float_layers) or None,
            "--ranges": self.ranges,
            "--headroom": self.headroom,
            "--epochs": self.epochs or None,
        }
        return [word for name, value in options.items() if value is not None for word in (name, str(value))]

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Choice:
        """What `asdict` gave, also when it went through JSON."""
        values: dict[str, Any] = {field.name: found[field.name] for field in fields(cls)}
        tuples = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**(values | tuples))
