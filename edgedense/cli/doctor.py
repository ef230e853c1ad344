"""`edgedense doctor`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedense.cli.options import AsJson
from edgedense.errors import EdgedenseError, GateError
from edgedense.flags import Flag

if TYPE_CHECKING:
    from edgedense.device.board.doctor import Finding

ProvenFile = Annotated[
    Path | None, Flag("A deployed .tflite file, which --bundle proves and measures.", argument=True, reads="file")
]
BundleFile = Annotated[
    Path | None,
    Flag(
        "Pack the findings and what they were read from into one file that you can send to the developers. With "
        "a MODEL it also holds a replay of the golden samples in that file, and a benchmark of 60 seconds.",
        metavar="FILE.zip",
        writes="file",
    ),
]


def doctor(model: ProvenFile = None, *, bundle: BundleFile = None, as_json: AsJson = False) -> None:
    """Tell what this machine is and what keeps edgedense from running well on it, with the command that mends it.

    Exit code 1 when there is a problem. A bundle holds no serial number, no name and no address.
    """
    from edgedense.device.board import diagnosis
    from edgedense.device.board.doctor import examine
    from edgedense.device.engines.interpreter import default_threads
    from edgedense.device.machine import Machine
    from edgedense.files import write_atomically

    if model is not None and bundle is None:
        raise EdgedenseError(
            "--bundle FILE.zip with a MODEL", "a model alone", "edgedense validate MODEL, which proves a model"
        )
    machine = Machine()
    findings = examine(machine)
    if bundle is not None:
        proved = diagnosis.proofs(model, default_threads()) if model is not None else {}
        write_atomically(bundle, diagnosis.pack(machine, findings, proved))
    if as_json:
        print(json.dumps([finding.to_dict() for finding in findings]))
    else:
        _print_findings(findings)
    if bundle is not None:
        print(f"bundle: {bundle}", file=sys.stderr)
    if any(finding.problem for finding in findings):
        raise typer.Exit(GateError.exit_code)


def _print_findings(findings: Sequence[Finding]) -> None:
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        print(f"{'!' if finding.problem else ' '} {finding.name:{width}}  {finding.value}")
        if finding.problem:
            print(f"  {'':{width}}  problem: {finding.problem}\n  {'':{width}}  mend it: {finding.remedy}")
