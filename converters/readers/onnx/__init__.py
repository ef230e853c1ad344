"""ONNX files, as PyTorch's exporters, tf2onnx and Keras write them.

`reader` is the entry: open that first. `files` loads what is on disk, `graph` folds constants and finds every shape,
`layers` and `shaping` say in Keras' words what the operators do, `head` is for those that `structure` has no words for.
"""
