"""One asyncio loop per step and beamline: read the board, act through a mover or the catalogue, write the result."""
