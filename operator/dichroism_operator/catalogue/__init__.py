"""Catalogues: the interface, and the implementation on SciCat."""
