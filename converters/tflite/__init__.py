"""The bytes of a .tflite file.

`flatbuffer` writes them: open that first. `metadata` adds what other tools read, `execute` runs the result, `edgetpu`
calls the compiler for Coral.
"""
