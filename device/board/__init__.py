"""What the machine is, and how fast and how warm it runs.

`doctor` is `edgedense doctor`: open that first. `benchmark` is `edgedense benchmark`.
"""
