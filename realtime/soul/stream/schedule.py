"""Sound intervals → chunks: which chunk can be computed, and exactly what it may hear.

Integers only. Knows no clock, no deadline and no model: a chunk is ready when its last needed
sample is there, whoever computes it and whenever.
"""

import numpy as np

from soul.stream.types import ChunkFormat, Pcm, Samples


class Schedule:
    """The sound of one stream, heard in chunks; memory is one fixed ring whatever is fed.

    The ring holds what the newest `backlog` ready chunks need, no more: an older chunk can no
    longer be asked for. However the sound is cut into pieces, a chunk's window is the same.
    """

    def __init__(self, format: ChunkFormat, backlog: int) -> None:
        if backlog < 1:
            raise ValueError(f"a schedule keeps at least 1 chunk, not {backlog}")
        self._format = format
        self._backlog = backlog
        self._ring: Samples = np.zeros(
            format.window_samples + backlog * format.chunk_samples, dtype=np.float32
        )
        self._received = 0

    @property
    def received(self) -> int:
        """The next sample expected: all sound before it is here."""
        return self._received

    @property
    def ready(self) -> int:
        """How many chunks have had all their sound: chunks 0 … ready − 1."""
        return max(0, self._received - self._format.lookahead_samples) // self._format.chunk_samples

    @property
    def oldest(self) -> int:
        """The oldest chunk whose window is still held."""
        return max(0, self.ready - self._backlog)

    @property
    def capacity(self) -> int:
        """Samples that the ring holds; never changes."""
        return len(self._ring)

    def receive(self, pcm: Pcm) -> None:
        """Hear the next piece. ValueError names the sample expected if it is not the next one."""
        _check(pcm, self._received)
        kept = pcm.samples[-self.capacity :]
        slots = np.arange(pcm.end - len(kept), pcm.end) % self.capacity
        self._ring[slots] = kept
        self._received = pcm.end

    def window(self, chunk: int) -> Samples:
        """All that `chunk` may hear: [window_samples] float32, zeros before sample 0; a copy."""
        if not self.oldest <= chunk < self.ready:
            raise ValueError(
                f"chunk {chunk} was asked for, but chunks {self.oldest} to {self.ready - 1} "
                "are what the sound received allows"
            )
        first = chunk * self._format.chunk_samples - self._format.past_samples
        wanted = np.arange(first, first + self._format.window_samples)
        # The ring may already hold newer sound where samples before 0 would lie: mask, not trust.
        return np.where(wanted < 0, np.float32(0), self._ring[wanted % self.capacity])


def _check(pcm: Pcm, expected: int) -> None:
    if pcm.start != expected:
        kind = "leaves a gap" if pcm.start > expected else "overlaps"
        raise ValueError(f"sound from sample {pcm.start} {kind}: sample {expected} was expected")
    if pcm.samples.ndim != 1 or pcm.samples.dtype != np.float32:
        raise ValueError(
            f"sound has shape {pcm.samples.shape} of {pcm.samples.dtype}: "
            "one row of float32 was expected"
        )
    if not np.isfinite(pcm.samples).all():
        raise ValueError(f"sound from sample {pcm.start} holds a value that is not finite")
