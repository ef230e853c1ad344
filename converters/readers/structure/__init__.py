"""A model as a list of layers in Keras' words, whatever it was read from, and the DenseNet in it.

`matching` is the entry: open that first. `layers` holds what it reads.
"""
