"""A DenseNet as data, and as the operators that the deployed file will hold.

`graph` is the data: open that first. `program` lowers it to operators, `evaluate` runs those in float, `weights`
puts changed weights back. A head that `graph` has no words for is a TensorFlow graph: `float_head` runs it, `stock`
makes TensorFlow Lite operators of it.
"""
