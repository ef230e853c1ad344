"""Rewrites of a DenseNet, graph to graph: one pass, one file, one function.

`rewriting` lists those that are exact, in order, and compares each with the network before it: open that first.
"""
