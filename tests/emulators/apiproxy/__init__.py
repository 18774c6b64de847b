"""A proxy before the real Kubernetes API server that goes wrong on demand: one process, deterministic by its seed.

What a program asks really happens or really does not, because the server behind it is the real one; only the way there
and back is bad.

Modules: :mod:`faults` (what goes wrong, and how often), :mod:`upstream` (the way to the real server, as a kubeconfig
says), :mod:`server` (one request through all of it, and the control routes), :mod:`process` (start and steer it).
"""
