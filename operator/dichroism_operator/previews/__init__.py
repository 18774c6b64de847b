"""What a recorded copy says of itself: read in worker processes, from the first place where its bytes can be had.

:mod:`describer` is what the lanes ask. It tries the :mod:`places` of a beamline in order and has a file read, verified
and understood by :mod:`workers`, separate processes that run :mod:`reading`. This process itself imports neither numpy
nor matplotlib, and nothing that a file holds can stop it.
"""
