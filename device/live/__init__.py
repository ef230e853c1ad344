"""`edgedense run` on a camera: frames in, results out.

`run` puts the parts together: open that first. `loop` classifies frame after frame.
"""
