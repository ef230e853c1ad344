"""From a trained model, wherever it comes from, to the DenseNet that it is.

One package a kind of source, each ending in the same `source.Source`. `door` chooses among them: open that first.
"""
