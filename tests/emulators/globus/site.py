"""One running service: what every route and every task is given."""

from dataclasses import dataclass, field

from tests.emulators.globus.clock import Clock
from tests.emulators.globus.faults import FaultPlan
from tests.emulators.globus.paths import Collections
from tests.emulators.globus.settings import Limits, Settings
from tests.emulators.globus.store import Store
from tests.emulators.globus.tasks import Tasks


@dataclass(slots=True)
class Site:
    """Settings and durable state."""

    settings: Settings
    store: Store
    clock: Clock = field(init=False)
    faults: FaultPlan = field(init=False)
    collections: Collections = field(init=False)
    tasks: Tasks = field(init=False)
    urls: dict[str, str] = field(default_factory=dict)
    """HTTPS server of each collection, by id."""

    def __post_init__(self) -> None:
        self.clock = Clock(self.store)
        self.faults = FaultPlan(self.store, self.clock)
        self.collections = Collections(self.settings, self.store)
        self.tasks = Tasks(self.store)

    @property
    def limits(self) -> Limits:
        """The limits of the settings."""
        return self.settings.limits
