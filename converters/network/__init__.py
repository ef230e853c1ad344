"""A DenseNet as data, and as the operators that the deployed file will hold.

`graph` is the data: open that first. `program` lowers it to operators, `evaluate` runs those in float, `weights`
puts changed weights back.
"""
