"""Figures of a run for Prometheus, which asks for them now and then.

`figures` says what is counted: open that first. `server` says who may look.
"""
