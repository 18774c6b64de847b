"""The mover for Globus collections, on the real globus-sdk. ``mover`` is the front; nothing else is used from outside.

The doctor alone also uses ``connection`` and ``collection``, to try each of their questions by itself.
"""
