"""Flight checks: a small file of our own goes the way of the scans, so that people learn of trouble before a scan does.

===============  =====================================================================================
``result``       what a check found, hop by hop, and how it stands in the cluster (no I/O)
``field``        where the file lies at each end, its name, and what killed checks left there
``hop``          sends the file over one hop, or tries a hop without leaving a file
``catalogue``    logs in to the catalogue and reads
``check``        one whole check: the hops in their order, bounded in time, everything taken away again
``record``       leaves the result in the cluster
``shown``        a check as the run that Prefect shows (no I/O)
===============  =====================================================================================

The file never leaves ``.dichroism/flight`` of an endpoint. The movers are given that folder as if it were an endpoint
of its own, and a mover never leaves the root of an endpoint; so the very code that carries scans is tried, and no data
of a user can be reached by it.
"""
