"""The scores of many pictures, in pieces: by threads, processes or machines, and kept, so that a killed run goes on.

`scorer` goes through the pieces. `task` is what another process does with one, `kept` the folder that they are kept in,
`threads` settles how TensorFlow works, and `options` has the options of commands.
"""
