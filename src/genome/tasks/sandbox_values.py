"""Values as data: a program's results are written as data in its process, and read in a process that never ran it.

The data are trees for JSON. None, booleans, strings, small integers and floats represent themselves; every other value
is a list, [tag, ...]. `read` can only return the fixed set of types below, whatever the data are, and neither side
calls a method that a program defined. It uses only the standard library, because `sandbox_runner` loads it too.
"""

import array
import math
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

# How much of a value its data keep: everything; everything but the order of iteration; the content, but not the type
# (a class derived from a built-in one) or the identity (NaN); nothing.
EXACT, UNORDERED, CONTENT, OPAQUE = range(4)
# A value of more parts is opaque.
PARTS = 1_000_000
Tree = Any

TYPES = (bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, range, object, type)
# Types that a class may derive from, and how to convert a value to exactly that type without calling methods of the
# derived class.
BASES: dict[type, Callable[[Any], Any]] = {
    int: int.__index__,
    float: float.__float__,
    complex: lambda value: complex(complex.real.__get__(value), complex.imag.__get__(value)),
    str: str.__str__,
    bytes: lambda value: bytes.__getitem__(value, slice(None)),
    bytearray: lambda value: bytearray.__getitem__(value, slice(None)),
    list: lambda value: [*list.__iter__(value)],
    tuple: lambda value: (*tuple.__iter__(value),),
    set: lambda value: {*set.__iter__(value)},
    frozenset: lambda value: frozenset({*frozenset.__iter__(value)}),
    dict: lambda value: dict(dict.items(value)),
    deque: lambda value: deque(deque.__iter__(value)),
    memoryview: lambda value: value.tobytes(),
}
# The parts of a value of exactly this type.
PARTS_OF: dict[type, Callable[[Any], Iterable]] = {
    list: iter,
    tuple: iter,
    set: iter,
    frozenset: iter,
    dict: lambda value: [part for pair in value.items() for part in pair],
    type({}.keys()): iter,
    OrderedDict: lambda value: [part for pair in value.items() for part in pair],
    Counter: lambda value: [part for pair in value.items() for part in pair],
    deque: lambda value: (value.maxlen, *value),
    complex: lambda value: (value.real, value.imag),
    bytes: lambda value: (value.hex(),),
    bytearray: lambda value: (value.hex(),),
    range: lambda value: (value.start, value.stop, value.step),
    slice: lambda value: (value.start, value.stop, value.step),
    array.array: lambda value: (value.typecode, *value),
    Decimal: lambda value: (str(value),),
    Fraction: lambda value: (value.numerator, value.denominator),
    date: lambda value: (value.isoformat(),),
    datetime: lambda value: (value.isoformat(),),
    time: lambda value: (value.isoformat(),),
    timedelta: lambda value: (value.days, value.seconds, value.microseconds),
}
UNORDERED_TYPES = (set, frozenset, type({}.keys()))


def write(value: Any) -> tuple[Tree, int]:
    """Return a value's data and how much of it they keep."""
    state = [EXACT, PARTS]
    try:
        return _write(value, state), state[0]
    except (RecursionError, OverflowError):  # without end, or too long
        return ["opaque"], OPAQUE


def _write(value: Any, state: list[int]) -> Tree:
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    state[1] -= 1
    if state[1] < 0:
        raise OverflowError
    if kind is int:
        return value if -(1 << 63) < value < 1 << 63 else ["int", format(value, "x")]
    if kind is float:
        if value == value:
            return value
        state[0] = max(state[0], CONTENT)
        return ["math.nan"] if value is math.nan else ["nan"]
    if kind is type and value in TYPES:
        return ["type", value.__name__]
    if value is Ellipsis or value is NotImplemented:
        return ["constant", repr(value)]
    if kind in PARTS_OF and not (kind in (datetime, time) and type(value.tzinfo) not in (type(None), timezone)):
        if kind in UNORDERED_TYPES:
            state[0] = max(state[0], UNORDERED)
        tree = [kind.__name__]
        for part in PARTS_OF[kind](value):
            tree.append(_write(part, state))
        return tree
    for base in type.mro(kind) if kind is not type and not issubclass(kind, type) else ():
        if base in BASES:
            state[0] = max(state[0], CONTENT)
            return _write(BASES[base](value), state)
    state[0] = OPAQUE
    return ["opaque"]


def _pairs(parts: tuple) -> list[tuple]:
    return list(zip(parts[::2], parts[1::2], strict=True))


def _counter(*parts: Any) -> Counter:
    counter: Counter = Counter()
    dict.update(counter, _pairs(parts))
    return counter


READERS: dict[str, Callable[..., Any]] = {
    "int": lambda digits: int(digits, 16),
    "nan": lambda: float("nan"),
    "math.nan": lambda: math.nan,
    "type": lambda name: {kind.__name__: kind for kind in TYPES}[name],
    "constant": lambda name: {"Ellipsis": Ellipsis, "NotImplemented": NotImplemented}[name],
    "opaque": lambda: object(),
    "list": lambda *parts: [*parts],
    "tuple": lambda *parts: parts,
    "set": lambda *parts: {*parts},
    "frozenset": lambda *parts: frozenset(parts),
    "dict": lambda *parts: dict(_pairs(parts)),
    "dict_keys": lambda *parts: dict.fromkeys(parts).keys(),
    "OrderedDict": lambda *parts: OrderedDict(_pairs(parts)),
    "Counter": _counter,
    "deque": lambda longest, *parts: deque(parts, longest),
    "complex": lambda real, imaginary: complex(real, imaginary),
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "range": range,
    "slice": slice,
    "array": lambda typecode, *parts: array.array(typecode, parts),
    "Decimal": lambda text: Decimal(text),
    "Fraction": lambda numerator, denominator: Fraction(numerator, denominator),
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda days, seconds, microseconds: timedelta(days, seconds, microseconds),
}


def read(tree: Tree) -> Any:
    """Return the value of data; data that `write` did not write may raise any error."""
    if type(tree) is not list:
        return tree
    tag, *parts = tree
    return READERS[tag](*[read(part) for part in parts])
