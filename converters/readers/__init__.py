"""From a trained model, wherever it comes from, to the DenseNet that it is.

One package per kind of source. `keras.reader` reads Keras models: open that first.
"""
