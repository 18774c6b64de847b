"""`make bench`: figures of the real programs against the test cluster and the emulators. Nothing passes or fails."""
