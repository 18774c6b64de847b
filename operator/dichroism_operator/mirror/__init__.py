"""The mirror of run states in Prefect, for people who look there. Best effort: no step of a Scan ever waits for it.

Prefect shows what happened and decides nothing. One flow run per Scan, one per Transfer, in work pools that are paused
and of a type that no worker has, so nothing in them is ever run.

==============  ======================================================================================
``names``       pools, queues, flows and deployments, derived from the configuration
``states``      which states a Scan or a Transfer has been through, and when (pure)
``page``        the artifact on a run's page (pure)
``feed``        which objects still have to be shown, and the watermark (no I/O)
``access``      address and credentials, from the environment
``server``      one request to Prefect: login, CSRF, rate limits, errors
``pools``       makes the pools and deployments, or finds that they are in use by others
``runs``        brings one flow run up to date
``upkeep``      puts right what somebody changed in Prefect
==============  ======================================================================================

The loop that drives them is ``dichroism_operator.lanes.prefect``. The package prefect is not needed: a hundred other
packages would come with it, and it drops the time of a state without a word.
"""
