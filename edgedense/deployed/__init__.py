"""The deployed file: one `.tflite` with labels, preprocessing, recipe and proofs inside.

`bundle` packs and reads it: open that first. `golden` holds samples that prove it, `gradcam` the head that
heatmaps are computed from, `layer_noise` how precise each layer is.
"""
