"""Has what the camera sees changed since it was learned?

`drift` holds the statistics: open that first. `watch` feeds them during a run and keeps their state.
"""
