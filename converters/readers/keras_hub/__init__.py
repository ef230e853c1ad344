"""DenseNets of keras-hub and keras-cv, whose files name a class of theirs and no layers. Neither library is needed."""
