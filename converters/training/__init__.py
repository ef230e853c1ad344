"""`edgedense train`: labelled pictures -> a trained Keras DenseNet that `edgedense convert` takes as it is.

train.py       the road as a readable list
layout.py      which pictures, which classes, which side: of a folder, or of a table
goal.py        one class a picture, or a yes or no for each: losses, weights, figures
dataset.py     the pictures, decoded and parted
duplicates.py  the same picture twice
split.py       training and validation without leakage
networks.py    backbone, head, normalization; weights from elsewhere
augmentation.py, batches.py   what the network sees
schedule.py    learning rates and when to stop, from the losses so far
fit.py, checkpoint.py         epochs, and going on after a kill
training_page.py              the HTML report
compare.py     a ResNet50 under the same conditions
"""
