"""The numbers that everything derives from: one media clock, counted in integers.

Media time is a sample index at 16 kHz. A picture, a latent, a mel hop and an Opus packet are whole
numbers of samples, so no rounding ever accumulates, however long a call lasts. Moments on the
wall are `Instant`s, integer nanoseconds of a monotonic clock that the caller reads: nothing in
this package, nor in the engine and playout that build on it, reads a clock.
"""

from typing import TypeAlias

Instant: TypeAlias = int
"""A moment: integer nanoseconds of a monotonic clock."""

NANOSECONDS = 1_000_000_000
AUDIO_RATE = 16_000  # samples per second: the media clock
FRAME_RATE = 25  # pictures per second
FRAMES_PER_LATENT = 4  # the Wan2.2 VAE's compression in time
MEL_HOP = 160  # samples: 10 ms, as in Whisper
MEL_WINDOW = 400  # samples: 25 ms, as in Whisper
OPUS_RATE = 48_000  # samples per second on the wire
OPUS_PACKET_MS = 20


def exact_div(numerator: int, denominator: int) -> int:
    """`numerator / denominator`, or ValueError if that is not a whole number."""
    quotient, remainder = divmod(numerator, denominator)
    if remainder:
        raise ValueError(f"{numerator} is not a multiple of {denominator}")
    return quotient


SAMPLES_PER_FRAME = exact_div(AUDIO_RATE, FRAME_RATE)  # 640: one picture, 40 ms
SAMPLES_PER_LATENT = SAMPLES_PER_FRAME * FRAMES_PER_LATENT  # 2,560: one latent, 160 ms
MELS_PER_LATENT = exact_div(SAMPLES_PER_LATENT, MEL_HOP)  # 16
SAMPLES_PER_PACKET = exact_div(AUDIO_RATE * OPUS_PACKET_MS, 1000)  # 320
PACKETS_PER_LATENT = exact_div(SAMPLES_PER_LATENT, SAMPLES_PER_PACKET)  # 8
NANOSECONDS_PER_SAMPLE = exact_div(NANOSECONDS, AUDIO_RATE)  # 62,500


def samples_to_ns(samples: int) -> int:
    """Length of `samples` at 16 kHz in nanoseconds; exact."""
    return samples * NANOSECONDS_PER_SAMPLE


def ns_to_samples(nanoseconds: int) -> int:
    """Whole samples at 16 kHz that fit in `nanoseconds` (floor)."""
    return nanoseconds // NANOSECONDS_PER_SAMPLE
