"""The Superfacility API of NERSC as a process of its own, with a batch system and a tape archive on local folders.

``server`` answers, ``access`` gives tokens, ``slurm`` keeps and runs the jobs, ``hsi`` is the program that jobs call
for the archive, ``faults`` holds what shall go wrong. Everything lives in files of one folder, so that a killed service
goes on with all that it had answered for, and jobs outlive it. ``process`` is the handle for tests.
"""
