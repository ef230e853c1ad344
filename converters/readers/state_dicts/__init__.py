"""PyTorch weights: the DenseNets of torchvision, timm, MONAI and TorchXRayVision, told apart by their parameter names.

`reader` is the entry: open that first. `files` opens what is on disk, `names` finds the network among the parameters,
`structure` and `head` make a network of them.
"""
