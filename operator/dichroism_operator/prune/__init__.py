"""Pruning: due files go into the trash of their endpoint, and some days later out of it, never without proven copies.

``decision`` says whether one file may go, ``ledger`` what lies in the trash, ``outcome`` what people are told,
``budget`` how much one run may do: pure logic. ``verification`` proves copies, ``stopswitch`` and ``gate`` say when to
stop. ``trash`` moves files, ``record`` holds the Prune object, ``work`` does one Prune, ``job`` one run over all that
are due; ``run`` is what its parts share.
"""
