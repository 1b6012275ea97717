"""Changes that turn good files into bad ones: blind ones of bytes, and ones that know JSON.

Shared by the tests and by ``benchmarks/fuzz.py``, which runs ten thousand of each.
Every choice comes from a ``random.Random``, so a case is made again from its seed.
"""

import struct
from functools import partial

INTEGERS = [0, 1, -1, 127, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1]

ESCAPE = "\x1b]0;evil\x07\x1b[31m"
SCRIPT = "</script><img src=x onerror=alert(1)>"
NESTED = 400  # levels


def nested(depth=NESTED):
    """Return lists in lists."""
    value = []
    for _ in range(depth):
        value = [value]
    return value


ODD_VALUES = [
    None, True, False, 0, 1, -1, 2, 64, 1024, 4096, 0.5, -0.5, 1e-300, 1e308, -1e308, 2**31, 2**63,
    10**18, 10**400, float("nan"), float("inf"), float("-inf"), "", "x", "0", "nan", "a" * 100_000,
    "../../etc/passwd", "/etc/passwd", "C:\\windows\\win.ini", "..\\..\\x", "a/../../b",
    "link/../secret.jpg",
    "\0", "a\0b", "\ud800", ESCAPE, SCRIPT, "[/red]", "{{ 7 * 7 }}", [], {}, [[1]], [0, 0], [1] * 9,
    [None] * 4, {"a": 1}, nested(),
]  # fmt: skip


def blind(data, rng, other=b""):
    """Return bytes with one to four changes that know nothing of the format."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        rng.choice(_CHANGES)(changed, rng, other)
    return bytes(changed)


def _flip_bit(data, rng, other):
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set_byte(data, rng, other):
    if data:
        data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _truncate(data, rng, other):
    del data[rng.randrange(len(data) + 1) :]


def _insert(data, rng, other):
    at = rng.randrange(len(data) + 1)
    data[at:at] = bytes(rng.randrange(256) for _ in range(rng.choice((1, 4, 64))))


def _delete(data, rng, other):
    first = rng.randrange(len(data) + 1)
    del data[first : first + rng.choice((1, 4, 64, 1024))]


def _duplicate(data, rng, other):
    first = rng.randrange(len(data) + 1)
    block = data[first : first + rng.choice((4, 64, 1024))]
    at = rng.randrange(len(data) + 1)
    data[at:at] = block * rng.choice((1, 2, 50))


def _splice(data, rng, other):
    data[rng.randrange(len(data) + 1) :] = other[rng.randrange(len(other) + 1) :]


def _integer(data, rng, other):
    form = rng.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
    size = struct.calcsize(form)
    if len(data) >= size:
        at = rng.randrange(len(data) - size + 1)
        data[at : at + size] = struct.pack(form, rng.choice(INTEGERS) % (1 << (8 * size)))


_CHANGES = (
    _flip_bit, _flip_bit, _set_byte, _set_byte, _truncate, _insert, _delete, _duplicate, _splice,
    _integer, _integer,
)  # fmt: skip


def paths_of(value, path=()):
    """Return the path of every value in a document, leaves and branches, without the root."""
    children = []
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    return [p for key, child in children for p in ((*path, key), *paths_of(child, (*path, key)))]


def replaced(value, path, change):
    """Return a document with what lies at a path made anew by ``change``."""
    if not path:
        return change(value)
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], change)
    return copy


def mutated_json(value, rng):
    """Return a document with one to three values dropped, retyped, or set to odd ones."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        paths = paths_of(value)
        if not paths:
            return value
        path = rng.choice(paths)
        if rng.random() < 0.15:
            value = replaced(value, path[:-1], partial(_without, key=path[-1]))
        else:
            value = replaced(value, path, partial(_odd, rng=rng))
    return value


def _without(parent, key):
    copy = parent.copy()
    del copy[key]
    return copy


def _odd(old, rng):
    """Return something that stands badly in the place of a value."""
    if isinstance(old, int | float) and not isinstance(old, bool) and rng.random() < 0.5:
        changes = (
            -old,
            old * 2,
            old * 1000,
            old + 1,
            old - 1,
            float(old),
            str(old),
            [old],
            old / 7,
        )
        return rng.choice(changes)
    if isinstance(old, list) and old and rng.random() < 0.5:
        return rng.choice((old[:-1], old + old, old[::-1], [old], old[0], old * 3000))
    if isinstance(old, str) and rng.random() < 0.3:
        return rng.choice(
            (old * 2, old.upper(), old[:-1], f"../{old}", f"/{old}", [old], f"{old}\0")
        )
    return rng.choice(ODD_VALUES)
