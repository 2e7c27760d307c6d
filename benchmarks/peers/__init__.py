"""Tiffin beside servers that do the same work: `python -m benchmarks.peers`; see `__main__`."""
