"""A player's clock, without Streamlit: where a replay stands after so many seconds of playing.

    player = Player(length_s=519, stops=(120,)).started(now=0)
    player = player.changed(now, speed=12)
    player.position(now), player.arrived(now)

`now` is any clock in seconds that does not jump. A player never passes the end or its next stop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

_JUST_S = 1e-6


@dataclass(frozen=True)
class Player:
    """`since`: when it began to play from `at_s`; None where it stands still."""

    length_s: float
    at_s: float = 0.0
    since: float | None = None
    speed: float = 1.0
    stops: tuple[float, ...] = ()

    @property
    def playing(self) -> bool:
        return self.since is not None

    def position(self, now: float) -> float:
        """Seconds of the run."""
        if self.since is None:
            return min(self.at_s, self.length_s)
        return min(self.at_s + (now - self.since) * self.speed, self._limit)

    @property
    def _limit(self) -> float:
        """The next stop, else the end."""
        return min([stop for stop in self.stops if stop > self.at_s + _JUST_S] + [self.length_s])

    def arrived(self, now: float) -> bool:
        """Whether it plays and has come to its next stop or to the end."""
        return self.playing and self.position(now) >= self._limit - _JUST_S

    def started(self, now: float) -> Player:
        """Playing on; from the beginning where it stood at the end."""
        at = self.position(now)
        return replace(self, at_s=0.0 if at >= self.length_s - _JUST_S else at, since=now)

    def paused(self, now: float) -> Player:
        return replace(self, at_s=self.position(now), since=None)

    def moved(self, now: float, at_s: float) -> Player:
        """Somewhere else; it plays on where it played."""
        at = min(max(at_s, 0.0), self.length_s)
        return replace(self, at_s=at, since=now if self.playing else None)

    def changed(self, now: float, **values: Any) -> Player:
        """With another speed, other stops or another length, from where it is now."""
        since = now if self.playing else None
        return replace(self, at_s=self.position(now), since=since, **values)
