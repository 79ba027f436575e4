"""Which waiting streams share a forward: a pure function. Knows no model, no device, no clock."""

from collections.abc import Collection

from soul.stream.types import Work


def choose(waiting: Collection[Work], limit: int) -> tuple[Work, ...]:
    """The works to compute together now: at most `limit`, of one step count, the earliest first.

    The most urgent work decides the step count. Of one stream only its oldest chunk is taken, for
    a later chunk hears what the earlier one left behind. Empty if nothing waits.
    """
    if limit < 1:
        raise ValueError(f"a batch holds at least 1 work, not {limit}")
    chosen: dict[str, Work] = {}
    for work in sorted(waiting, key=lambda work: (work.deadline, work.chunk, work.stream)):
        if work.stream not in chosen:
            chosen[work.stream] = work
    ordered = list(chosen.values())
    return tuple(work for work in ordered if work.steps == ordered[0].steps)[:limit]
