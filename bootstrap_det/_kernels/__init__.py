"""Numba kernels: plain arrays in, ``out`` last, no Python objects, no allocation policy.

Each file is self-contained, because numba's cache does not see changes in other files. Every
kernel releases the GIL, so callers run them in plain threads; none uses a threading layer of
its own. Fastmath is off throughout: results are the same whatever the number of threads.
"""
