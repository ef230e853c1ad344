"""Small delegate libraries in place of libedgetpu, which tests build: one that works, and a frame for others."""

from __future__ import annotations

import subprocess
from pathlib import Path

# What a delegate library must offer: load_delegate of either runtime looks these two names up and calls them.
DELEGATE = """
#include <stdlib.h>
#include <unistd.h>
void *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
  %s
}
void tflite_plugin_destroy_delegate(void *delegate) {}
"""
# TfLiteDelegate of tensorflow/lite/core/c/common.h: data, Prepare, and more that stays null. Prepare returns kTfLiteOk.
HARMLESS = "static int prepare(void *c, void *d) { return 0; }\n" + DELEGATE % (
    "struct { void *data; int (*prepare)(void *, void *); void *rest[16]; } *d = calloc(1, sizeof *d);"
    "d->prepare = prepare; return d;"
)


def build(folder: Path, source: str) -> str:
    """Compile `source` to a library in `folder`; returns its path."""
    library = folder / "libedgetpu.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=source.encode(), check=True)
    return str(library)
