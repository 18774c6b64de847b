"""Is everything where it should be? Compares source, disk, catalogue and tape with each other, without Kubernetes.

``looking`` lists each place into ``index``, a database in a temporary folder; ``judging`` decides about one path at a
time; ``survey`` puts both together. Nothing outside that folder is ever changed.
"""
