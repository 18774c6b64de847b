"""Getting files back from tape: what is asked for, who knows where it is, fetching it, and writing it somewhere safe.

Three sources know in which bundle a file lies, and each is enough alone: the Scans, the catalogue, and the manifests of
the bundles. So this works with the cluster lost, and with the catalogue lost. Nothing in here writes to Kubernetes, to
the catalogue or to tape.
"""
