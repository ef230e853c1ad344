"""What a user may choose for a search. Nothing heavy is imported here: the command line's help reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from edgedense.converters.opening import Opening
from edgedense.converters.options import DEFAULT_IMAGES, PICTURES, CalibrationImages, Options, Preprocess, Resizing
from edgedense.converters.rivals.options import RivalOptions
from edgedense.flags import Flag
from edgedense.searching.limits import parse_duration

SEARCH = "How the search is done"
TRIALS = 96
GIGABYTES = 4  # of one process: 3.8 were seen in a search over 64x64 pixels with 16,000 pictures to train on


@dataclass(frozen=True)
class SearchOptions:
    """How long is searched, and how pictures and the model are read, as in `Options`. `time` is in seconds."""

    trials: Annotated[
        int | None,
        Flag(
            "Stop after so many trials. Most of them are cheap: they are given up before anything is trained.",
            panel=SEARCH,
            minimum=1,
            usual=f"{TRIALS}, or none with --time",
        ),
    ] = None
    time: Annotated[
        float | None,
        Flag(
            "Stop in time to be done after so long, such as 90s, 60m or 2h. What the search finds then depends on how "
            "fast this machine is; with --trials alone it does not.",
            panel=SEARCH,
            metavar="TIME",
            takes=str,
            read=parse_duration,
            above=0,
        ),
    ] = None
    round: Annotated[
        int,
        Flag(
            "Ask for so many trials at once. All of a round are done before the next one is asked for, which learns "
            "from them. More than 16 are for more than 16 cores or machines. The result depends on this number, and "
            "not on how many workers there are.",
            panel=SEARCH,
            minimum=2,
        ),
    ] = 16
    epochs: Annotated[
        int,
        Flag(
            "Train for at most so many epochs with the pictures of --recover. Trials try this many, half of it and so "
            "on, and none.",
            panel=SEARCH,
            minimum=1,
        ),
    ] = 2
    processes: Annotated[
        int,
        Flag(
            f"Work on so many trials at the same time, each in a process that may need {GIGABYTES} GB of memory. 0: "
            "one for each core, and no more than the free memory holds; with --ray, one for each core of the cluster. "
            "What is found does not depend on it, but for the time that it takes.",
            panel=SEARCH,
            minimum=0,
            usual="0",
        ),
    ] = 0
    seed: Annotated[
        int, Flag("Start of the random numbers: the same seed tries the same.", panel=SEARCH, minimum=0)
    ] = 0
    preprocess: Preprocess = None
    resizing: Resizing = field(default_factory=Resizing)
    calibration_images: CalibrationImages = DEFAULT_IMAGES
    force: Annotated[
        bool,
        Flag("Search although another preprocessing suits the labelled calibration pictures better.", panel=PICTURES),
    ] = False
    opening: Opening = field(default_factory=Opening)
    rivals: RivalOptions = field(default_factory=RivalOptions)

    @property
    def most_trials(self) -> int | None:
        """How many trials there are at most."""
        return TRIALS if self.trials is None and self.time is None else self.trials

    @property
    def conversion(self) -> Options:
        """The part of it that every file of the search is made with."""
        return Options(
            preprocess=self.preprocess,
            resizing=self.resizing,
            calibration_images=self.calibration_images,
            force=self.force,
            opening=self.opening,
        )
