"""What travels inside `media`: typed sound and pictures. Plain data; knows no codec, no socket."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from soul.timebase import Instant

Samples: TypeAlias = NDArray[np.float32]
Image: TypeAlias = NDArray[np.uint8]

_WRAP = 1 << 32


@dataclass(frozen=True, slots=True)
class SoundPacket:
    """Decoded sound of one packet.

    `samples` is [n] or [n, channels] float32 in [-1, 1] at `rate`; `pts` counts samples at `rate`
    from an origin of the sender's own choice and never wraps.
    """

    pts: int
    rate: int
    samples: Samples
    arrival: Instant


@dataclass(frozen=True, slots=True)
class Sound:
    """Sound on the media clock: `samples` [n] float32 at 16 kHz from sample `start` on."""

    start: int
    samples: Samples

    @property
    def end(self) -> int:
        return self.start + len(self.samples)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture [height, width, 3] RGB to be seen from media sample `start` on."""

    start: int
    image: Image


class TimestampUnwrapper:
    """RTP timestamps modulo 2^32 → integers that never wrap, across reordering as well."""

    def __init__(self) -> None:
        self._last: int | None = None

    def unwrap(self, timestamp: int) -> int:
        """The value nearest to the last one that equals `timestamp` modulo 2^32."""
        if self._last is None:
            self._last = timestamp
        else:
            ahead = (timestamp - self._last) % _WRAP
            self._last += ahead if ahead < _WRAP // 2 else ahead - _WRAP
        return self._last
