"""The search for the best file within a budget of time: `edgedense search`.

`result` is what a search ends with.
"""
