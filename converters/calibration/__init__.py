"""What is measured on pictures before anything is quantized.

`pictures` reads them, `statistics` measures the network on them: open that first. `ranges` turns statistics into
the real values that int8 must represent; `normalization` checks the preprocessing on labelled pictures.
"""
