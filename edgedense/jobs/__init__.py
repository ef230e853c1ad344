"""Work that is cut into many items: processes of this machine do them, or the machines of a Ray cluster.

`jobs` opens the one or the other: open that first. `local` starts the processes, `cluster` gives the items to Ray, and
`worker` is what runs in either. `options` has the option of commands.
"""
