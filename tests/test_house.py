"""The house's rules, read from the source itself: doors, walls, sizes and a test for every file.

Rooms that come later are covered: a room without doors written here fails.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WINGS = ("realtime", "kernels", "signaling", "clients")
TESTS = ROOT / "tests"

EVERYONE = "timebase"  # the numbers: any room may import them
DOORS: dict[str, set[str]] = {
    "timebase": set(),
    "kernels": set(),
    "model": {"kernels"},
    "stream": {"model", "kernels"},
    "media": set(),
    "session": {"stream", "media"},
    "signaling": {"session", "stream", "web"},
    "measure": set(),
    "checkpoints": {"model"},
    "data": {"measure"},
    # media: what a real call does to a voice; checkpoints: what large models go on from
    "training": {"model", "stream", "measure", "media", "checkpoints"},
    "web": set(),
    "client": set(),
    "adapters": {"client"},
}
ALL_DOORS = {"cli"}  # the command line wires everything

# A library that changes often, or decides much, is imported in one file alone.
WALLS = {
    "aiortc": "realtime/soul/media/tracks.py",
    "starlette": "signaling/soul/signaling/app.py",
}

# Decide, and never act: time and results come in, decisions go out.
SANS_IO = (
    "realtime/soul/stream/types.py",
    "realtime/soul/stream/schedule.py",
    "realtime/soul/stream/engine.py",
    "realtime/soul/stream/batch.py",
    "realtime/soul/stream/restart.py",
    "realtime/soul/media/playout.py",
    "realtime/soul/media/vad.py",
    "signaling/soul/signaling/protocol.py",
)
ACTING = {"time", "datetime", "asyncio", "threading", "socket", "select", "torch"}

# Source files without a test file of their own, and why.
UNTESTED = {
    "realtime/soul/stream/types.py": "plain data; every test of the room uses it",
    "realtime/soul/data/errors.py": "plain classes; every test of the room raises them",
    "realtime/soul/stream/wire.py": "plain data; test_process and test_worker speak it",
    "realtime/soul/training/world/beard.py": "judged by test_world_artist",
    "realtime/soul/training/world/clothes.py": "judged by test_world_artist",
    "realtime/soul/training/world/color.py": "judged by test_world_artist",
    "realtime/soul/training/world/hair.py": "judged by test_world_artist",
    "realtime/soul/training/world/head.py": "judged by test_world_artist",
    "realtime/soul/training/world/headwear.py": "judged by test_world_artist",
    "realtime/soul/training/world/identity.py": "judged by test_world_artist",
    "realtime/soul/training/world/live.py": "judged by test_world_artist",
    "realtime/soul/training/world/locks.py": "judged by test_world_artist",
    "realtime/soul/training/world/pen.py": "judged by test_world_artist",
    "realtime/soul/training/world/scene.py": "judged by test_world_artist",
    "clients/soul/cli/console.py": "three lines of printing; every test of the room sees them",
    "clients/soul/cli/film.py": "test_animate reads back the films it writes",
    "clients/soul/cli/options.py": "test_takes and test_serve tell them",
    "clients/soul/cli/plan.py": "test_animate fills it in and meets its sentences",
    "clients/soul/cli/render.py": "test_animate runs it",
    "clients/soul/cli/rooms.py": "test_serve and test_animate meet its sentences",
    "clients/soul/client/errors.py": "test_client raises and catches them",
    "clients/soul/web/__init__.py": "a path; test_page reads what lies there",
    "realtime/soul/training/sentences.py": "test_speech speaks them",
    "signaling/soul/signaling/door.py": "test_app opens and closes it",
}

LONGEST_FILE = 500
LONGEST_FUNCTION = 80


def sources() -> list[Path]:
    """Every Python file of the four namespaces."""
    return sorted(path for wing in WINGS for path in (ROOT / wing / "soul").rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=name(path))


def module_of(path: Path) -> tuple[str, ...]:
    """realtime/soul/stream/engine.py → ("soul", "stream", "engine")."""
    parts = path.relative_to(ROOT).with_suffix("").parts[1:]
    return parts[:-1] if parts[-1] == "__init__" else parts


def imported(module: ast.Module, package: tuple[str, ...]) -> Iterator[str]:
    """Dotted names that `module` imports anywhere, also inside functions; relative ones resolved.

    `package` is the package that the module stands in. `from a import b` gives "a.b".
    """
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = [*base, *([node.module] if node.module else [])]
            yield from (".".join([*stem, alias.name]) for alias in node.names)


def imports_of(path: Path) -> set[str]:
    parts = module_of(path)
    package = parts if path.name == "__init__.py" else parts[:-1]
    return set(imported(tree(path), package))


def closed_doors(room: str, names: set[str]) -> list[str]:
    """Those of the imported `names` that `room` has no door to."""
    if room in ALL_DOORS:
        return []
    open_doors = DOORS[room] | {room, EVERYONE}
    inside = [n.split(".") for n in sorted(names) if n.split(".")[0] == "soul"]
    return [".".join(n) for n in inside if len(n) < 2 or n[1] not in open_doors]


def is_bare(module: ast.Module) -> bool:
    """Nothing to test: a docstring, imports and `__all__` only."""
    return all(
        isinstance(node, ast.Import | ast.ImportFrom | ast.Expr)
        or (
            isinstance(node, ast.Assign)
            and [t.id for t in node.targets if isinstance(t, ast.Name)] == ["__all__"]
        )
        for node in module.body
    )


def places_of_test(path: Path) -> list[Path]:
    """Where a test of `path` may stand; for nested packages there is a choice."""
    _, room, *inner = module_of(path)
    folder = TESTS / room
    if not inner:
        return [folder / f"test_{room}.py", TESTS / f"test_{room}.py"]
    nested = folder.joinpath(*inner[:-1]) / f"test_{inner[-1]}.py"
    flat = [folder / f"test_{'_'.join(inner[:length])}.py" for length in range(1, len(inner) + 1)]
    return [nested, *flat]


def prints(module: ast.Module) -> list[int]:
    """Lines that call `print`."""
    return [
        node.lineno
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]


def functions(module: ast.Module) -> Iterator[tuple[str, int]]:
    """Each function's name and length in lines."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_there_is_a_house() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in sources()} == set(WINGS)


def test_no_stray_init_hides_the_other_wings() -> None:
    strays = [path for wing in WINGS for path in (ROOT / wing).rglob("soul/__init__.py")]
    assert [name(path) for path in strays] == []


def test_every_room_has_its_doors_written_down() -> None:
    rooms = {module_of(path)[1] for path in sources()}
    assert rooms - DOORS.keys() - ALL_DOORS == set(), "write the new room's doors in this file"


def test_no_room_stands_in_two_wings() -> None:
    places = {(path.relative_to(ROOT).parts[0], module_of(path)[1]) for path in sources()}
    assert len(places) == len({room for _, room in places})


def test_rooms_use_their_doors_only() -> None:
    broken = [
        f"{name(path)} imports {target}: {room} has no door there"
        for path in sources()
        if (room := module_of(path)[1]) in DOORS
        for target in closed_doors(room, imports_of(path))
    ]
    assert broken == []


def test_the_doors_lead_in_no_circle() -> None:
    left = dict(DOORS)
    while free := [room for room, doors in left.items() if not doors & left.keys()]:
        for room in free:
            del left[room]
    assert left == {}


@pytest.mark.parametrize("library", WALLS)
def test_a_library_behind_a_wall_is_imported_in_one_file(library: str) -> None:
    users = [
        name(path)
        for path in sources()
        if any(target.split(".")[0] == library for target in imports_of(path))
    ]
    assert set(users) <= {WALLS[library]}


def test_what_decides_does_not_act() -> None:
    acting = [
        f"{place} imports {target}"
        for place in SANS_IO
        if (ROOT / place).exists()
        for target in sorted(imports_of(ROOT / place))
        if target.split(".")[0] in ACTING
    ]
    assert acting == []


def test_every_source_file_has_its_test() -> None:
    without = [
        name(path)
        for path in sources()
        if name(path) not in UNTESTED
        and not is_bare(tree(path))
        and not any(test.is_file() for test in places_of_test(path))
    ]
    assert without == []


def test_the_list_of_untested_files_is_true() -> None:
    gone = [place for place in UNTESTED if not (ROOT / place).is_file()]
    tested = [
        place for place in UNTESTED if any(test.is_file() for test in places_of_test(ROOT / place))
    ]
    assert gone + tested == []


def test_nothing_prints_but_the_command_line() -> None:
    printing = [
        f"{name(path)}:{line}"
        for path in sources()
        if module_of(path)[1] not in ALL_DOORS
        for line in prints(tree(path))
    ]
    assert printing == []


def test_files_can_be_read_in_one_sitting() -> None:
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert {place: lines for place, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_functions_can_be_read_at_a_glance() -> None:
    long = [
        f"{name(path)}: {function} has {lines} lines"
        for path in sources()
        for function, lines in functions(tree(path))
        if lines > LONGEST_FUNCTION
    ]
    assert long == []


def test_every_source_file_says_what_it_is_for() -> None:
    modules = {name(path): tree(path) for path in sources()}
    silent = [
        place
        for place, module in modules.items()
        if module.body and ast.get_docstring(module) is None
    ]
    assert silent == []


# The rules' own tests: a rule that sees nothing holds nothing.


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import soul.session.session", {"soul.session.session"}),
        ("from soul import media", {"soul.media"}),
        ("from soul.media.vad import Vad", {"soul.media.vad.Vad"}),
        ("def f():\n    import aiortc.rtp", {"aiortc.rtp"}),
        ("from . import wire", {"soul.stream.wire"}),
        ("from ..media import vad", {"soul.media.vad"}),
    ],
)
def test_imports_are_seen_in_every_form(source: str, expected: set[str]) -> None:
    assert set(imported(ast.parse(source), ("soul", "stream"))) == expected


def test_a_closed_door_is_seen() -> None:
    names = {"soul.media.vad.Vad", "soul.model.load", "soul.timebase", "soulful.media", "soul"}
    assert closed_doors("stream", names) == ["soul", "soul.media.vad.Vad"]
    assert closed_doors("cli", names) == []


def test_prints_and_long_functions_are_seen() -> None:
    module = ast.parse("def f():\n    print(1)\n\n\nconsole.print(2)\n")
    assert prints(module) == [2]
    assert list(functions(module)) == [("f", 2)]


def test_a_bare_init_is_told_from_one_with_code() -> None:
    assert is_bare(ast.parse('"""Room."""\nfrom a import b\n__all__ = ["b"]\n'))
    assert not is_bare(ast.parse('"""Room."""\nRATE = 3\n'))


def test_a_nested_file_may_be_tested_flat_or_nested() -> None:
    places = places_of_test(ROOT / "realtime/soul/training/world/hair.py")
    assert [place.relative_to(TESTS).as_posix() for place in places] == [
        "training/world/test_hair.py",
        "training/test_world.py",
        "training/test_world_hair.py",
    ]
