"""The most that one run may do, so that a mistake shows before everything is gone."""

from collections.abc import Sequence


class Budget:
    """Files and bytes that are left; one budget for the way into the trash, another for the way out of it."""

    def __init__(self, files: int, size: int) -> None:
        self.files = files
        self.bytes = size

    def take(self, size: int) -> bool:
        """Spend one file of that many bytes, if it fits."""
        if self.files < 1 or self.bytes < size:
            return False
        self.files -= 1
        self.bytes -= size
        return True

    def fitting(self, sizes: Sequence[int]) -> list[int]:
        """Positions of those that fit together in this order; spends nothing."""
        trial = Budget(self.files, self.bytes)
        return [position for position, size in enumerate(sizes) if trial.take(size)]
