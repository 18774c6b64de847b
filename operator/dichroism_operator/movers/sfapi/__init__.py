"""The mover for tape at NERSC: a batch job packs and stores, the Superfacility API starts it and reads its word.

``mover`` is the front. ``tapejob`` runs at the site, with ``movers.bundle`` and
``movers.unpacking`` beside it, and is never imported to do work here. The doctor also uses ``connection`` and ``site``.
"""
