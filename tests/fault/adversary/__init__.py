"""An adversary of the prune job: damages copies, swaps files, changes people's words, then looks what was deleted."""
