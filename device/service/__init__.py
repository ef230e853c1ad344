"""Classifying from boot on, under systemd.

`systemd` writes the unit: open that first. `notify` tells systemd that the program is alive. `update` gives the service
another model.
"""
