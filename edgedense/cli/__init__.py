"""The command line. A command parses, calls one function and prints its result: one module each.

`app` puts them together and turns errors into text and exit codes: open that first. `options` holds what several share.
"""

from edgedense.cli.app import app, main

__all__ = ["app", "main"]
