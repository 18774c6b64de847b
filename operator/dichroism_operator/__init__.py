"""The kopf operator that takes every Scan through its life, and the jobs that prune.

Layers, enforced in CI: handlers -> lanes -> movers, catalogue -> pure logic -> models. Nothing imports upwards.
"""
