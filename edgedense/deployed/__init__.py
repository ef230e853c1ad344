"""The deployed file: one `.tflite` with labels, preprocessing, recipe and proofs inside.

`bundle` packs and reads it: open that first. `golden` holds samples that prove it, `gradcam` the head that
heatmaps are computed from, `keys` and `signature` say who signed it, and `schema` reads its flatbuffer.
"""
