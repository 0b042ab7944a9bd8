"""Language models over HTTP: `protocol` is what every model offers, the rest serves it.

`protocol` imports nothing heavy, so that a daemon without a key never loads a model library.
"""
