"""What a set of tensors lacks, has too many, or has in another shape; told by name, in groups.

It knows names and shapes alone: no files, no models.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Shape = tuple[int, ...]
# Lists of layers that are alike; the numbers of other layers (`ffn.0`) tell unlike ones apart.
ALIKE = re.compile(r"(\w*(?:blocks?|layers|projs|injector))\.\d+")


def pattern_of(name: str) -> str:
    """`blocks.7.ffn.0.weight` → `blocks.*.ffn.0.weight`: the first list's number goes."""
    return ALIKE.sub(r"\1.*", name, count=1)


def grouped(names: Iterable[str]) -> dict[str, list[str]]:
    """Names by their pattern, each group in the order in which it came; single ones by name."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(pattern_of(name), []).append(name)
    return {key if len(same) > 1 else same[0]: same for key, same in groups.items()}


def row(key: str, same: list[str]) -> str:
    """`blocks.*.self_attn.q.weight ×30`, and a single name as it is."""
    return f"{key} ×{len(same)}" if len(same) > 1 else key


@dataclass(frozen=True, slots=True)
class Difference:
    """Between the tensors that were expected and those that were found."""

    missing: dict[str, Shape]
    unexpected: dict[str, Shape]
    misshaped: dict[str, tuple[Shape, Shape]]  # found, expected

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.misshaped)

    def lines(self) -> list[str]:
        """One line a group: what is wrong with it, and what was expected."""
        told = []
        for key, same in grouped(self.missing).items():
            told += [f"missing {row(key, same)}, expected {list(self.missing[same[0]])}"]
        for key, same in grouped(self.unexpected).items():
            told += [f"unexpected {row(key, same)} {list(self.unexpected[same[0]])}"]
        for key, same in grouped(self.misshaped).items():
            found, expected = self.misshaped[same[0]]
            told += [f"misshaped {row(key, same)} {list(found)}, expected {list(expected)}"]
        return told

    def told(self, what: str) -> str:
        """A sentence with the counts, and under it one line a group."""
        counts = ", ".join(
            f"{len(names)} {kind}"
            for kind, names in (
                ("missing", self.missing),
                ("unexpected", self.unexpected),
                ("misshaped", self.misshaped),
            )
            if names
        )
        return "\n  ".join([f"{what} does not fit: {counts} tensors", *self.lines()])


def compare(expected: Mapping[str, Shape], found: Mapping[str, Shape]) -> Difference:
    """In the order of the names, so that a message reads the same every time."""
    return Difference(
        {k: expected[k] for k in sorted(expected) if k not in found},
        {k: found[k] for k in sorted(found) if k not in expected},
        {
            k: (found[k], expected[k])
            for k in sorted(expected)
            if k in found and found[k] != expected[k]
        },
    )
