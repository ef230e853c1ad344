"""A DenseNet with fewer channels, or with zero weights.

`shrink` cuts channels until a goal is met: open that first. `sparsity` makes zeros.
"""
