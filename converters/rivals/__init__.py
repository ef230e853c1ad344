"""What else somebody could have had: other networks, trained to give the DenseNet's scores and converted by the stock
path, beside which a search shows what pruning reached.

`making.Making` is all of it for one name. It goes through `lessons` (the DenseNet's scores), `networks`, `training` and
`rival`.
"""
