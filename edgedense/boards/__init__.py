"""How long a file takes on a board that is not this machine: estimated from its operators, or measured there over SSH.

`result` is the answer of both. Open `estimate` first: it reads a file (`operators`), says what each operator makes the
board's processor do (`work`), and weighs that with counted `coefficients`. `measure` runs the file on a host.
"""
