"""From a rewritten network and its statistics to int8.

`attempts` builds, scores and chooses: open that first. `quantize` writes the operators in int8, `gate` tries again
when accuracy falls too far, `noise` measures layer by layer what was lost.
"""
