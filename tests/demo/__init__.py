"""``make demo``: scans of both beamlines go their whole way on a real cluster, before your eyes."""
