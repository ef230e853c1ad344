"""What a model gets right, and what another one changes about it. Pure numpy; nothing here prints.

`metrics` holds the formulas: open that first. `drift` compares two models, `validation` scores pictures with them.
"""
