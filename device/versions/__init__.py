"""The models that a service runs one after the other: which is current, which it goes back to, and when it must.

`models` is the folder in which they are kept: open that first. `serving` is what the running service does for them, and
`guard` what systemd runs when it has ended.
"""
