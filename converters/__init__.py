"""Trained model -> deployed file: what runs on the workstation, with TensorFlow.

`pipeline` reads as the list of what a conversion does: open that first.
"""
