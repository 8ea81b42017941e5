"""Models without Python: a network of named layers, trained on a CSV file as the configuration says.

`training.make` does it; `vocabulary` has the names. Reading a configuration needs the names alone.
"""
