"""Keras models of version 2 and 3.

`reader` is the entry: open that first. `files` opens what is on disk, `layers` lists the layers that `structure` reads.
"""
