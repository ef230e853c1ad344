"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="How many processor cores to use, by default all; each works on a picture of its own. The frames of a "
        "camera come one at a time: there the cores share each frame, by default at most 4.",
        show_default=False,
    ),
]
ReportPage = Annotated[
    Path | None,
    typer.Option(help="Write the report as one HTML file, with the images whose label changed.", show_default=False),
]

# How a trained model is opened: what its file does not say.
TrustModel = Annotated[
    bool,
    typer.Option(
        "--trust-model",
        help="Run the Python code that the model's file holds (Lambda layers), as loading it in Keras would. Say so "
        "only for a file whose origin you know: its code can do all that you can do on this machine.",
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output", metavar="NAME", help="The output to use, of a model that has several.", show_default=False
    ),
]
Activation = Annotated[
    Literal["softmax", "sigmoid", "none"] | None,
    typer.Option(
        help="What makes scores of the model's last numbers, where neither the model nor its loss says it: softmax "
        "(classes of which one is right), sigmoid (independent classes, or a single yes or no) or none (values such "
        "as an age, which are no probabilities).",
        show_default=False,
    ),
]
