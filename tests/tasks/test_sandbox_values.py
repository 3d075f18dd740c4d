"""Values written as data are read as the same values, and no others are read."""

import collections
import datetime
import enum
import json
import math
from array import array
from decimal import Decimal
from fractions import Fraction

import pytest

from genome.tasks.sandbox_values import CONTENT, EXACT, OPAQUE, UNORDERED, read, write

Point = collections.namedtuple("Point", "x y")
Level = enum.IntEnum("Level", "LOW HIGH")
Plain = enum.Enum("Plain", "LOW HIGH")
ZONE = datetime.timezone(datetime.timedelta(hours=1))

VALUES = [
    None, True, 0, -1, 2**62, 2**63, -(2**64), 10**5000, 0.0, -0.0, 0.1, 1e-320, math.inf, -math.inf, 1 + 2j,
    "", "é\ud800\0", b"a\xff", bytearray(b"a"), [], [1, [2, (3,)]], (), (1,), {}, {"b": 1, (1, 2): None},
    range(1, 9, 2), slice(1, None), Ellipsis, NotImplemented, int, list, collections.OrderedDict(b=1, a=2),
    collections.Counter("aab"), collections.deque([1, 2], 3), array("d", [1.5]), Decimal("1.10"), Decimal("-Infinity"),
    Fraction(1, 3), datetime.date(2020, 2, 29), datetime.datetime(2020, 1, 1, 1, 2, 3, 4),
    datetime.datetime(2020, 1, 1, tzinfo=ZONE),
    datetime.time(1, 2), datetime.timedelta(-1, 2, 3),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:30] if value != 10**5000 else "huge")
def test_read_returns_the_written_value_and_type(value):
    tree, kept = write(value)
    again = read(json.loads(json.dumps(tree)))
    assert kept == EXACT
    assert type(again) is type(value)
    assert again == value
    assert value == 10**5000 or repr(again) == repr(value)


class Liar(list):
    def __eq__(self, other):
        return True

    __hash__ = None

    def __iter__(self):
        return iter([7])

    def __len__(self):
        return 7


LESS = [
    ({1, 2}, UNORDERED, {1, 2}),
    ([frozenset("a")], UNORDERED, [frozenset("a")]),
    ({1: 2}.keys(), UNORDERED, {1}),
    (Point(1, 2), CONTENT, (1, 2)),
    (Level.HIGH, CONTENT, 2),
    (Liar([1]), CONTENT, [1]),
    (collections.defaultdict(list, {1: [2]}), CONTENT, {1: [2]}),
    (memoryview(b"ab"), CONTENT, b"ab"),
]


@pytest.mark.parametrize(("value", "kept", "left"), LESS)
def test_write_keeps_the_content_of_derived_types(value, kept, left):
    tree, found = write(value)
    again = read(json.loads(json.dumps(tree)))
    assert found == kept
    assert again == left
    assert left == again


def test_read_returns_math_nan_itself_but_no_other_nan():
    assert write(math.nan) == (["math.nan"], CONTENT)
    assert read(["math.nan"]) is math.nan
    assert read(write(math.inf - math.inf)[0]) is not math.nan
    assert math.isnan(read(["nan"]))


endless: list = []
endless.append(endless)


@pytest.mark.parametrize(
    "value", [Plain.LOW, object(), iter([1]), {}.values(), len, Liar, [Plain.LOW], endless, [0] * 1_000_001]
)
def test_opaque_values_are_equal_to_nothing(value):
    tree, kept = write(value)
    assert kept == OPAQUE
    assert read(json.loads(json.dumps(tree))) != value


@pytest.mark.parametrize(
    "tree", [["eval", "1"], ["type", "eval"], ["opaque", 1], ["dict", 1], ["set", ["list"]], [], ["Decimal", []]]
)
def test_read_refuses_data_that_write_never_writes(tree):
    with pytest.raises((KeyError, TypeError, ValueError)):
        read(tree)
