"""Many devices from one workstation: bringing a model to them over SSH.

`order` says in which order hosts get it: open that first. `host` is what is done with one of them, by a `connection`;
`on_device` is the program that does it there. `plan` reads which hosts there are.
"""
