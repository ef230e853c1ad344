"""The functions that `import edgedense` offers, one module each; the commands of the same names call them.

`edgedense/__init__.py` lists them. `values` turns keywords into options.
"""
