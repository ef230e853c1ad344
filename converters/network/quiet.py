"""TensorFlow without its remarks: to users they say nothing, and they look like faults."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """TensorFlow's native code writes past Python's sys.stderr and any log level: a greeting with its build options at
    the import, remarks of its converter. What fails raises all the same.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # for what comes later
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def unwarned() -> Iterator[None]:
    """TensorFlow Lite's converter warns, through Python's logging, of what it chooses by itself, at each call.

    The package absl, by which it does so, gives the root logger a handler where there is none: then every message of
    ours would be printed twice, so it is taken away again.
    """
    logger, handlers = logging.getLogger("absl"), list(logging.root.handlers)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        for handler in set(logging.root.handlers) - set(handlers):
            logging.root.removeHandler(handler)
