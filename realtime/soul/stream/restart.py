"""When a worker that died is started again, and when no more: a decision in virtual time.

Knows no process and no clock: `now` comes in, a pause or "stay down" goes out.
"""

from dataclasses import asdict, dataclass

from soul.timebase import NANOSECONDS, Instant


@dataclass(frozen=True, slots=True)
class RestartConfig:
    """The pause doubles with each death that is remembered; the last of `deaths` is final."""

    first_pause_ms: int = 500
    deaths: int = 5
    window_seconds: int = 60  # of service; afterwards a death is forgotten

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 1:
                raise ValueError(f"{name} is {value}; expected at least 1")


class Restarts:
    """Remembers the deaths of the last minute of service.

    Only the time in which a worker serves counts. Else a model that takes long to load, and then
    dies at once, would look as if it died rarely, and be started for ever.
    """

    def __init__(self, config: RestartConfig) -> None:
        self._config = config
        self._served = 0  # nanoseconds, of all workers together
        self._since: Instant | None = None
        self._deaths: list[int] = []  # how long had been served by then

    def ready(self, now: Instant) -> None:
        """A worker has loaded its model and serves from now on."""
        self._since = now

    def died(self, now: Instant) -> int | None:
        """A worker died, ready or not: nanoseconds until the next start; None: it stays down."""
        if self._since is not None:
            self._served += now - self._since
            self._since = None
        oldest = self._served - self._config.window_seconds * NANOSECONDS
        self._deaths = [death for death in self._deaths if death > oldest] + [self._served]
        if len(self._deaths) >= self._config.deaths:
            return None
        first = self._config.first_pause_ms * NANOSECONDS // 1000
        return int(first * 2 ** (len(self._deaths) - 1))
