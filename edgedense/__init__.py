"""From a trained Keras DenseNet to a camera that classifies at the edge."""
