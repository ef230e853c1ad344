"""Readers of Keras files that hold weights without layers: `.weights.h5` of Keras 3, and what `save_weights` of Keras 1
and 2 wrote."""
