"""Frames from a camera, a stream or a video, in a process of their own.

`sources` knows the names that a user gives them: open that first. `capture` is the process, `stream` hands over the
newest frame.
"""
