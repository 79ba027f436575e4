"""Loss, reordering, duplicates, stalls and drift cost the moment they last, and nothing after."""

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soul.media.clock import MediaClock
from soul.media.ingest import Ingest, IngestConfig
from soul.media.packets import Samples, SoundPacket
from soul.timebase import AUDIO_RATE, NANOSECONDS, samples_to_ns

MS = 1_000_000
PACKET = 960  # samples at 48 kHz


def voice(rate: int, start: int, count: int) -> Samples:
    """A chirp that resembles itself nowhere, so that its place can be found by correlation."""
    t = np.arange(start, start + count) / rate
    wave = 0.4 * np.sin(2 * np.pi * (200 * t + 40 * np.sin(1.7 * t) + 9 * t * t))
    return np.asarray(wave, np.float32)


@dataclass
class Line:
    """A sender of 20 ms packets and a reader that pulls every 20 ms, in virtual time."""

    rate: int = 48_000
    channels: int = 1
    drift: float = 1.0  # sender's clock over ours
    first_pts: int = 12_345
    config: IngestConfig = field(default_factory=IngestConfig)

    def __post_init__(self) -> None:
        self.clock = MediaClock(3 * NANOSECONDS)
        self.ingest = Ingest(self.clock, self.config)
        self.out: list[Samples] = []
        self.events: list[tuple[int, int, SoundPacket]] = []
        self._number = itertools.count()

    def send(self, index: int, delay_ms: float = 10.0, start_ms: float = 500.0) -> None:
        """Packet `index`, which takes `delay_ms` through the network."""
        count = self.rate // 50
        samples = voice(self.rate, index * count, count)
        if self.channels > 1:
            samples = np.repeat(samples[:, None], self.channels, axis=1)
        sent = start_ms + (index + 1) * 20 / self.drift
        arrival = self.clock.epoch + int((sent + delay_ms) * MS)
        packet = SoundPacket(self.first_pts + index * count, self.rate, samples, arrival)
        self.events.append((arrival, next(self._number), packet))

    def run(self, milliseconds: int) -> Samples:
        """Everything that was pulled until then; each pull is checked to join on."""
        self.events.sort()
        for tick in range(1, milliseconds // 20 + 1):
            now = self.clock.epoch + tick * 20 * MS
            while self.events and self.events[0][0] <= now:
                self.ingest.receive(self.events.pop(0)[2])
            sound = self.ingest.pull(tick * 320)
            assert sound.start == (tick - 1) * 320
            assert sound.end == tick * 320
            assert sound.samples.dtype == np.float32
            self.out.append(sound.samples)
        return np.concatenate(self.out)

    def place(self, out: Samples, at_ms: int, window_ms: int = 200) -> tuple[float, float]:
        """How long (ms) after it was said the sound at `at_ms` of `out` is given; how alike."""
        piece = out[at_ms * 16 : (at_ms + window_ms) * 16]
        said = voice(AUDIO_RATE, 0, len(out) + 16_000)
        product = np.correlate(said, piece, "valid")
        squares = np.concatenate([[0.0], np.cumsum(said.astype(np.float64) ** 2)])
        energy = np.sqrt(squares[len(piece) :] - squares[: -len(piece)])
        scores = product / (energy * np.linalg.norm(piece) + 1e-9)
        best = int(np.argmax(scores))
        return at_ms - best / 16 - 500, float(scores[best])


def test_without_packets_there_is_silence_without_end() -> None:
    line = Line()
    assert (line.run(2_000) == 0).all()
    assert line.ingest.stats().concealed_samples == 0


@pytest.mark.parametrize(
    ("rate", "channels"),
    [(48_000, 1), (48_000, 2), (16_000, 1), (8_000, 1), (44_100, 2), (96_000, 1), (11_025, 1)],
)
def test_every_rate_lands_on_the_media_clock(rate: int, channels: int) -> None:
    line = Line(rate=rate, channels=channels)
    for index in range(100):
        if rate == 11_025:  # 20 ms are no whole number of samples there
            continue
        line.send(index)
    if rate == 11_025:
        for index in range(100):
            samples = voice(rate, index * 220, 220)
            arrival = line.clock.epoch + int((510 + (index + 1) * 220e3 / rate) * MS)
            line.events.append((arrival, index, SoundPacket(index * 220, rate, samples, arrival)))
    out = line.run(2_400)
    delay, likeness = line.place(out, 1_500)
    assert likeness > 0.98
    assert 20 <= delay <= 90
    assert (out[:8_000] == 0).all()


def test_one_lost_packet_leaves_no_delay_behind() -> None:
    whole, holed = Line(), Line()
    for index in range(250):
        whole.send(index)
        if index != 50:
            holed.send(index)
    a, b = whole.run(5_480), holed.run(5_480)
    assert holed.ingest.stats().lost == 1
    assert holed.ingest.stats().concealed_samples in range(320, 480)
    assert np.abs(a - b)[: 1_500 * 16].max() == 0  # before
    assert np.abs(a - b)[1_700 * 16 :].max() < 1e-3  # after: sample for sample the same
    hole = b[1_540 * 16 : 1_620 * 16]
    assert np.abs(hole).reshape(-1, 80).max(axis=1).min() > 0.05  # concealed, not cut


def test_a_long_loss_is_silence_of_its_length() -> None:
    whole, holed = Line(), Line()
    for index in range(250):
        whole.send(index)
        if not 50 <= index < 75:
            holed.send(index)
    a, b = whole.run(5_600), holed.run(5_600)
    assert holed.ingest.stats().lost == 25
    assert (b[1_700 * 16 : 1_950 * 16] == 0).all()
    assert np.abs(a - b)[2_150 * 16 :].max() < 1e-3


def test_swapped_and_doubled_packets_change_nothing() -> None:
    steady = IngestConfig(hysteresis_ms=1_000)
    whole, mixed = Line(config=steady), Line(config=steady)
    for index in range(100):
        whole.send(index)
        mixed.send(index, delay_ms=33 if index % 7 == 3 else 10)
        if index % 5 == 0:
            mixed.send(index, delay_ms=21)
    a, b = whole.run(2_600), mixed.run(2_600)
    assert mixed.ingest.stats().duplicates == 20
    assert mixed.ingest.stats().lost == 0
    assert np.abs(a - b)[: 1_900 * 16].max() < 1e-3


def test_a_stall_costs_the_stall_only() -> None:
    line = Line()
    for index in range(300):
        stalled = 100 <= index < 120  # all of them arrive at once, 400 ms late
        line.send(index, delay_ms=10 + (120 - index) * 20 if stalled else 10)
    out = line.run(6_400)
    before, _ = line.place(out, 2_000)
    after, likeness = line.place(out, 4_000)
    assert likeness > 0.98
    assert abs(after - before) <= 25
    assert line.ingest.stats().late > 10


def test_a_path_that_becomes_longer_is_followed() -> None:
    line = Line()
    for index in range(300):
        line.send(index, delay_ms=10 if index < 100 else 180)
    out = line.run(6_600)
    delay, likeness = line.place(out, 4_500)
    assert likeness > 0.98
    assert 180 <= delay <= 290
    assert line.ingest.stats().relocks == 1


def test_a_path_that_becomes_shorter_is_followed() -> None:
    line = Line()
    for index in range(500):
        line.send(index, delay_ms=150 if index < 100 else 10)
    out = line.run(10_400)
    delay, likeness = line.place(out, 9_500)
    assert likeness > 0.95
    assert delay <= 90


def test_too_far_behind_drops_the_oldest() -> None:
    line = Line()
    for index in range(200):
        line.send(index, delay_ms=500 if index < 40 else 10)
    line.run(4_400)
    stats = line.ingest.stats()
    assert stats.dropped > 0
    assert stats.delay_ms < 100


def test_a_sender_that_starts_its_timestamps_anew_is_heard_again() -> None:
    for jump in (-(10**7), 10**7):
        line = Line()
        for index in range(200):
            line.send(index)
            if index >= 100:
                arrival, number, packet = line.events.pop()
                moved = SoundPacket(packet.pts + jump, packet.rate, packet.samples, arrival)
                line.events.append((arrival, number, moved))
        out = line.run(4_400)
        delay, likeness = line.place(out, 3_500)
        assert likeness > 0.98
        assert delay < 100


@pytest.mark.parametrize("drift", [0.99, 0.999, 1.001, 1.01])
def test_a_drifting_clock_is_followed(drift: float) -> None:
    line = Line(drift=drift)
    for index in range(1_000):
        line.send(index)
    line.run(int(20_000 / drift))
    stats = line.ingest.stats()
    assert stats.lost + stats.dropped + stats.relocks + stats.late == 0
    assert 0 <= stats.delay_ms < 90
    drifted = abs(drift - 1) * 20_000
    corrected = (stats.skipped_samples if drift > 1 else stats.inserted_samples) / 16
    assert corrected > drifted - 80


def test_the_delay_settles_low_on_a_quiet_path() -> None:
    line = Line()
    for index in range(400):
        line.send(index, delay_ms=100 if index == 0 else 10)
    line.run(8_400)
    assert line.ingest.stats().delay_ms <= 45


def test_a_new_rate_begins_a_new_line() -> None:
    line = Line()
    for index in range(50):
        line.send(index)
    line.run(1_600)
    line.rate = 16_000
    for index in range(50, 150):
        line.send(index)
    now = line.ingest.position
    line.events.sort()
    pulled = []
    for tick in range(now // 320 + 1, now // 320 + 80):
        moment = line.clock.instant_of(tick * 320)
        while line.events and line.events[0][0] <= moment:
            line.ingest.receive(line.events.pop(0)[2])
        pulled.append(line.ingest.pull(tick * 320).samples)
    assert np.abs(np.concatenate(pulled)).max() > 0.3


def test_a_rate_that_no_sound_has() -> None:
    ingest = Ingest(MediaClock(0))
    with pytest.raises(ValueError, match="sample rate 3 Hz"):
        ingest.receive(SoundPacket(0, 3, np.zeros(10, np.float32), 0))


def test_pulling_backwards_gives_nothing() -> None:
    ingest = Ingest(MediaClock(0))
    ingest.pull(320)
    assert len(ingest.pull(100).samples) == 0
    assert ingest.position == 320


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), loss=st.floats(0, 0.5), jitter=st.floats(0, 150))
def test_any_network_leaves_gapless_bounded_sound(seed: int, loss: float, jitter: float) -> None:
    rng = np.random.default_rng(seed)
    line = Line(first_pts=int(rng.integers(0, 2**32)))
    for index in range(120):
        if rng.random() >= loss:
            line.send(index, delay_ms=10 + float(rng.exponential(1)) * jitter)
    out = line.run(2_600)
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 1.0
    stats = line.ingest.stats()
    assert stats.delay_ms <= line.config.max_ms
    assert stats.late + stats.duplicates + stats.dropped <= stats.packets


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_after_a_bad_time_a_good_network_sounds_right_again(seed: int) -> None:
    rng = np.random.default_rng(seed)
    line = Line()
    for index in range(260):
        bad = index < 100
        if not bad or rng.random() > 0.3:
            line.send(index, delay_ms=10 + (float(rng.exponential(60)) if bad else 0))
    out = line.run(5_800)
    delay, likeness = line.place(out, 5_000)
    assert likeness > 0.9
    assert delay < 150
    assert samples_to_ns(len(out)) == 5_800 * MS
