"""What computes: the TensorFlow Lite runtimes and the Edge TPU, behind `make_interpreter`.

Open `interpreter` first. `replay` proves that an engine computes what the file computed where it was made.
"""
