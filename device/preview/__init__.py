"""The live web page: the picture, the best classes as moving bars, and how the work goes."""
