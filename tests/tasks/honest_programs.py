"""Programs that pass their tests, possibly with warnings: name to source."""

# ruff: noqa: E501

HONEST = {
    "floats": """
def f(x): return x/3
assert f(1) == 1/3
assert f(1) == 0.3333333333333333
""",
    "booleans and None": """
def f(x): return x
assert f(1) == True
assert f(True) == 1
assert f(1) == 1.0
assert f(True) is True
assert f(None) is None
assert f(1) is not None
""",
    "NaN": """
import math
def f(): return float('nan')
assert f() != f()
assert math.isnan(f())
x=f()
assert x is x
assert [x] == [x]
assert str(f()) == 'nan'
""",
    "the one NaN of math": """
import math
def f(): return [math.nan]
assert f() == [math.nan]
""",
    "nested structures": """
def f(x): return {'a':[(1,2),{3}],'b':{frozenset([1]):b'x'}}
assert f(1) == {'a':[(1,2),{3}],'b':{frozenset([1]):b'x'}}
""",
    "sets": """
def f(x): return x
assert set(f([1,2,2])) == {1,2}
assert f({1,2}) == {2,1}
assert sorted(f({3,1,2})) == [1,2,3]
assert len(f({1})) == 1
""",
    "generators": """
def f(n):
    yield from range(n)
assert list(f(3)) == [0,1,2]
assert sum(f(4)) == 6
assert sorted(f(3), reverse=True) == [2,1,0]
assert next(f(3)) == 0
g=f(3)
assert next(g)==0
assert next(g)==1
assert list(g)==[2]
assert list(g)==[]
assert 2 in f(3)
assert any(x==2 for x in f(3))
assert tuple(map(str,f(2))) == ('0','1')
assert dict(zip('ab', f(2))) == {'a':0,'b':1}
""",
    "maps": """
def f(l): return map(str,l)
assert list(f([1,2])) == ['1','2']
assert ', '.join(f([1,2])) == '1, 2'
""",
    "ranges": """
def f(n): return range(n)
assert f(3) == range(3)
assert list(f(3)) == [0,1,2]
""",
    "views of dictionaries": """
def f(d): return d.values()
assert list(f({1:2})) == [2]
assert sorted(f({1:2})) == [2]
assert 2 in f({1:2})
def k(d): return d.keys()
assert k({1:2}) == {1}
assert list(k({3:1,2:1})) == [3,2]
def i(d): return d.items()
assert list(i({1:2})) == [(1,2)]
""",
    "a class with all that equality needs": """
class Vec:
    def __init__(s,x,y): s.x,s.y=x,y
    def __eq__(s,o): return isinstance(o,Vec) and (s.x,s.y)==(o.x,o.y)
    def __add__(s,o): return Vec(s.x+o.x,s.y+o.y)
    def __mul__(s,k): return Vec(s.x*k,s.y*k)
    def __abs__(s): return (s.x**2+s.y**2)**.5
    def __str__(s): return f'Vec({s.x}, {s.y})'
    def __len__(s): return 2
    def __iter__(s): return iter((s.x,s.y))
    def __lt__(s,o): return abs(s)<abs(o)
    def __contains__(s,o): return o in (s.x,s.y)
    def __bool__(s): return True
assert Vec(1,2) == Vec(1,2)
assert Vec(1,2)+Vec(1,1) == Vec(2,3)
assert Vec(1,2)*3 == Vec(3,6)
assert abs(Vec(3,4)) == 5
assert str(Vec(1,2)) == 'Vec(1, 2)'
assert len(Vec(1,2)) > 0
assert list(Vec(1,2)) == [1,2]
assert Vec(1,2) != Vec(2,2)
assert Vec(0,1) < Vec(3,3)
assert 1 in Vec(1,2)
x=1
assert x in Vec(1,2)
assert 5 not in Vec(1,2)
assert Vec(1,2)
assert [Vec(1,2)] == [Vec(1,2)]
assert Vec(1,2) in [Vec(1,2)]
assert isinstance(Vec(1,2), Vec)
assert not isinstance(Vec(1,2), int)
assert sorted([Vec(3,4),Vec(0,1)])[0].y == 1
assert str(Vec(1,2)*2) == 'Vec(2, 4)'
assert max([Vec(3,4),Vec(0,1)]) == Vec(3,4)
assert Vec(1,2) is not None
assert Vec(1,2) != 3
assert callable(Vec)
assert hasattr(Vec(1,2),'x')
assert {'a':Vec(1,2)} == {'a':Vec(1,2)}
assert type(Vec(1,2)) is Vec
assert Vec(1,2).x == 1
""",
    "named tuples": """
from collections import namedtuple
P=namedtuple('P','x y')
def f(): return P(1,2)
assert f() == (1,2)
assert f() == P(1,2)
assert str(f()) == 'P(x=1, y=2)'
assert f().x == 1
assert f()[0] == 1
assert isinstance(f(), tuple)
""",
    "enumerations": """
from enum import Enum, IntEnum
class C(Enum):
    A=1
class I(IntEnum):
    A=1
assert C(1) == C.A
assert C(1) is C.A
assert I.A == 1
assert C.A.value == 1
assert C['A'] is C.A
""",
    "collections": """
from collections import *
def f(s): return Counter(s)
assert f('aab') == {'a':2,'b':1}
assert f('aab') == Counter('aab')
assert f('aab').most_common(1) == [('a',2)]
def d():
    x=defaultdict(list); x[1].append(2); return x
assert d() == {1:[2]}
assert OrderedDict([(1,2)]) == {1:2}
assert deque([1,2]) == deque([1,2])
assert dict(d()) == {1:[2]}
assert list(OrderedDict([(2,1),(1,1)])) == [2,1]
""",
    "decimals, fractions, dates": """
from decimal import Decimal
from fractions import Fraction
import datetime
assert Decimal('1.10') == Decimal('1.1')
def f(x): return Fraction(x,3)
assert f(6) == 2
assert str(f(1)) == '1/3'
def g(): return datetime.date(2020,1,2)
assert g() == datetime.date(2020,1,2)
assert datetime.datetime(2020,1,1).year == 2020
assert Decimal('0.1') + Decimal('0.2') == Decimal('0.3')
""",
    "times of zones": """
from datetime import datetime, timedelta, timezone
def f(): return datetime(2020,1,1,tzinfo=timezone.utc)
assert f() == datetime(2020,1,1,1,tzinfo=timezone(timedelta(hours=1)))
assert datetime.strptime('2020','%Y') == datetime(2020,1,1)
assert f()-f() == timedelta(0)
""",
    "nearness": """
import math
def f(x): return x*1.1
assert math.isclose(f(3), 3.3)
assert abs(f(3)-3.3) < 1e-9
assert round(f(3),2) == 3.3
assert f(3) == math.pow(3.3000000000000003, 1)
assert math.isclose(f(3), 3.3, rel_tol=1e-9), 'near'
""",
    "names imported from modules": """
from math import isclose, pi
def f(x): return x*pi
assert isclose(f(1), pi)
""",
    "expected exceptions": """
def f(x):
    if x<0: raise ValueError('neg')
    return x
try:
    f(-1)
    assert False
except ValueError as e:
    assert str(e) == 'neg'
assert f(1) == 1
""",
    "tests that print": """
def f(x):
    print(x)
    return x
print(f(1))
assert f(2) == 2, f(3)
print('end')
""",
    "both sides of the program": """
def f(x): return x+1
def g(x): return x+1
assert f(1) == g(1)
assert f(f(1)) == 3
assert f(1) + g(1) == 4
assert f(1) == 2 and g(2) == 3
assert f(1) == 3 or g(1) == 2
assert (2 if f(1)==2 else 3) == 2
assert 1 < f(1) < 3
assert 1 < f(1) <= g(1) == 2
""",
    "arguments that change": """
def f(l):
    l.append(1)
    return l
x=[]
assert f(x) == [1]
assert f(x) == [1,1]
assert x == [1,1]
assert f(x) == x
assert f(x) is x
assert x is f(x)
assert len(x) == 5
""",
    "state between tests": """
n=0
def f():
    global n
    n+=1
    return n
assert f()==1
assert f()==2
assert f()+f()==7
assert n==4
""",
    "setup code": """
class Node:
    def __init__(s,d): s.data=d; s.left=None
def h(n): return 0 if n is None else 1+h(n.left)
root=Node(1)
root.left=Node(2)
assert h(root)==2
assert h(None) == 0
assert root.left.left is None
""",
    "a function named as a built-in": """
def sum(a,b): return a+b
assert sum(1,2)==3
assert sum(1,2)==int(3)
""",
    "more functions named as built-ins": """
def max(a): return a[0]
def len(a): return 7
assert max([1,2]) == 1
assert len([1]) == 7
""",
    "names bound by a test": """
def f(x): return x
assert (y := f(3)) == 3
assert y == 3
""",
    "functions and loops of tests": """
def f(x): return x
assert True
def check(c):
    assert c(1) == 1
    assert c(2) == 2
check(f)
for i in range(3):
    assert f(i) == i
""",
    "types": """
def f(x): return type(x)
assert f(1) == int
assert f(1) is int
assert type(f) is type(f)
assert isinstance(f('')(), str)
assert f('x').__name__ == 'str'
""",
    "functions": """
def f(n): return lambda x: x+n
assert f(1)(2) == 3
assert callable(f(1))
import types
def g(): yield 1
assert isinstance(g(), types.GeneratorType)
from functools import reduce
assert reduce(lambda a,b:a+b,[1,2]) == 3
assert list(map(f(1),[1,2])) == [2,3]
assert sorted([3,1],key=f(0)) == [1,3]
""",
    "big integers": """
def f(n): return 2**n
assert f(20000) == 2**20000
assert f(100) == 1267650600228229401496703205376
""",
    "long lists": """
def f(n): return list(range(n))
assert len(f(2000000)) == 2000000
assert f(100000) == list(range(100000))
""",
    "deep lists": """
def f(n):
    x=[]
    for _ in range(n): x=[x]
    return x
assert f(3) == [[[[]]]]
assert f(900) == f(900)
""",
    "lone surrogates": "def f(): return '\\ud800'\nassert f() == '\\ud800'\nassert f() != 'x'",
    "bytes": "def f(): return b'a\\xff'\nassert f() == b'a\\xff'\nassert bytearray(f()) == f()\nassert f()[0] == 97\nassert complex(1,2) == 1+2j\nassert f() != 'a'",
    "Ellipsis": """
def f(): return ...
assert f() is ...
assert f() == ...
""",
    "imports of tests": """
def f(x): return x
assert True
import math
from collections import Counter
assert math.floor(f(2.5)) == 2
assert Counter(f('ab')) == Counter('ba')
assert f(math.pi) == math.pi
""",
    "endless generators": """
import itertools
def f():
    i=0
    while True:
        yield i
        i+=1
assert list(itertools.islice(f(),3)) == [0,1,2]
assert next(f()) == 0
""",
    "functions that change arguments": """
import heapq
h=[3,1,2]
heapq.heapify(h)
assert heapq.heappop(h) == 1
assert heapq.heappop(h) == 2
""",
    "random numbers": """
import random
def f(): return random.randint(1,10)
random.seed(1)
a=f()
random.seed(1)
assert f() == a
assert 1 <= f() <= 10
""",
    "a declared coding": "# -*- coding: latin-1 -*-\ndef f(): return 'é'\nassert f() == 'é'",
    "a byte order mark": "\ufeffdef f(): return 1\nassert f() == 1",
    "an assert in a docstring": '"""\nassert f(1) == 2\n"""\ndef f(x): return 2\nassert f(1) == 2',
    "line ends of Windows": "def f(x):\r\n    return x\r\nassert f(1) == 1\r\nassert f(2) == 2\r\n",
    "json": """
import json
def f(x): return json.dumps(x)
assert f([1]) == '[1]'
assert json.loads(f({'a':1})) == {'a':1}
""",
    "a class derived from str": """
class S(str): pass
def f(): return S('a')
assert f() == 'a'
assert f().upper() == 'A'
assert f() in ('a','b')
assert f() + 'b' == 'ab'
""",
    "comprehensions and displays": """
def f(x): return x*x
assert all(f(x) == y for x,y in [(1,1),(2,4)])
assert [f(x) for x in range(3)] == [0,1,4]
assert {x: f(x) for x in (1,2)} == {1:1,2:4}
assert (f(1), f(2)) == (1,4)
assert not f(0)
assert -f(2) == -4
assert f'{f(2)}' == '4'
assert not any(f(x) > 5 for x in range(2))
""",
    "unpacking": """
def f(*a): return a
assert f(*[1,2]) == (1,2)
assert max(*f(1,2)) == 2
assert f(*[1], **{}) == (1,)
""",
    "order and membership": """
def f(x): return x
assert f(1) < 2
assert f([1,2]) > [1]
assert f('a') <= 'b'
assert 'a' in f('abc')
assert 3 in f([1,3])
assert 4 not in f({1,3})
""",
    "arrays": """
from array import array
def f(): return array('i',[1,2])
assert f() == array('i',[1,2])
assert list(f()) == [1,2]
""",
    "a raised recursion limit": """
import sys
sys.setrecursionlimit(10**5)
def f(n): return 0 if n==0 else 1+f(n-1)
assert f(5000) == 5000
""",
    "the order of dictionaries": """
def f(): return {'b':1,'a':2}
assert list(f()) == ['b','a']
assert f() == {'a':2,'b':1}
assert str(f()) == "{'b': 1, 'a': 2}"
assert list(f().items())[0] == ('b',1)
""",
    "many imports": """
import uuid, platform, multiprocessing, concurrent.futures, logging, unittest, dataclasses, enum, inspect, traceback, doctest, statistics, csv, io, contextlib, asyncio, abc, numbers
assert 1 == 1
""",
    "memory views": """
def f(): return memoryview(b'ab')
assert f() == b'ab'
assert bytes(f()) == b'ab'
""",
    "exceptions as values": """
def f(): return ValueError('x')
assert isinstance(f(), ValueError)
assert str(f()) == 'x'
""",
    "set operations": """
def f(): return {'a','b','c'}
assert len(''.join(f())) == 3
assert f() <= {'a','b','c','d'}
assert f() & {'a'} == {'a'}
assert f() | {'d'} == {'a','b','c','d'}
""",
    "functions without a result": """
l=[3,1,2]
def f(x): x.sort()
f(l)
assert l == [1,2,3]
assert f(l) is None
assert f(l) == None
assert not f(l)
""",
    "warnings": """
def f(x):
    assert (x, 'always true')
    return x is 1
assert f(1) == True
assert (f(1), 'always true')
""",
    "a shadowed name that the tests use": """
list = [3, 1]
def f(x): return x
assert list(f((1, 2))) == [1, 2]
assert f(list) == [3, 1]
""",
    "an order of subclasses": """
class Words(list):
    def __len__(self): return 7
    def __str__(self): return 'words'
def f(): return Words(['b', 'a'])
assert len(f()) == 7
assert str(f()) == 'words'
assert f() == ['b', 'a']
assert sorted(f()) == ['a', 'b']
""",
    "garbage and weak references": """
import gc, weakref
class A: pass
a = A()
r = weakref.ref(a)
def f(): gc.collect(); return r() is a
assert f()
del a
assert r() is None
""",
    "its own patched function": """
import time
time.sleep = lambda s: None
def f(x): time.sleep(99); return x
assert f(1) == 1
""",
}
