"""What all parts of dichroism agree on: the three kinds, the names, the config document and access to the API.

Light on purpose: the watcher runs beside the data on small hosts and imports nothing else. Nothing in here imports the
watcher or the operator.
"""
