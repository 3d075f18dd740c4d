"""Tests of programs, split so that no program sees the expected values or judges itself.

In `assert set(f(3)) == {1, 2}` only `f(3)` needs the program. It is evaluated in the program's process and returned as
data. `set`, the comparison and `{1, 2}` are evaluated in a process that never ran a program, and the expected value
never enters the program's process. `split` decides from the tests alone where this is possible:

- a *part* is an expression with a name that is not a built-in function without effects, not a module of MODULES and not
  a name that the tests import from one;
- an *operand* is a side of the assert's comparison. The expression around its parts, such as `set(...)`, is evaluated
  with the data of the parts. If the data do not represent a value completely (an iterator, an object of the program's
  own class), it is evaluated in the program's process, and the operand is returned as data;
- the name of a built-in that a test applies to results of the program means the built-in, even if the program has
  redefined it. In `assert sum(10, 15) == 6`, which has no other name, it is the program's function.

An object of the program's own class is not equal to any data, and neither less nor greater: otherwise it could not be
distinguished from an object that is equal to everything. If its class derives from a built-in one, its content is
compared.

The program's process still decides these: whether two of its objects are equal or one contains another value,
whether an object is true, `is` between its objects, alternatives that call it (`f(1) == 2 or f(1) == 3`),
comprehensions over its results, the values that tests assign to names, and statements other than asserts, with the
asserts in them. A function that has only asserts and is called once with the program's function is not such a
statement.
"""

import ast
import contextlib
import functools
import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from genome.tasks.sandbox_values import CONTENT, EXACT, OPAQUE, write

# Built-ins that neither change their arguments nor depend on the caller's scope.
BUILT_INS = frozenset(
    "abs all any ascii bin bool bytearray bytes chr complex dict divmod enumerate filter float format frozenset hex "  # noqa: SIM905
    "int isinstance issubclass len list map max min oct ord pow range repr reversed round set slice sorted str sum "
    "tuple type zip ArithmeticError AssertionError AttributeError Exception IndexError KeyError LookupError "
    "OverflowError RuntimeError StopIteration TypeError ValueError ZeroDivisionError".split()
)
# Modules whose functions have the same property.
MODULES = ("cmath", "collections", "datetime", "decimal", "fractions", "functools", "itertools", "math", "re")
MODULES += ("statistics",)


@dataclass(frozen=True)
class Split:
    """Tests in three JSON texts.

    `steps` are for the process of the program, `checks` for the process that judges its answers. `expected` are answers
    that pass without evaluating the checks, "" if there are none.
    """

    steps: str
    checks: str
    expected: str


@dataclass(frozen=True)
class _Names:
    """Names that the tests bind, by an import that can be repeated anywhere (name to statement) or otherwise."""

    imported: dict[str, str]
    changed: set[str]


@dataclass(frozen=True)
class _Operand:
    """A side of a comparison.

    parts: the expressions of its parts
    template: the expression around them
    whole: whether the program's process may evaluate the whole operand
    """

    parts: list[str]
    template: ast.expr
    whole: bool


@functools.lru_cache(maxsize=1024)
def split(tests: str) -> Split:
    """Split the source of tests; SyntaxError, ValueError, RecursionError or MemoryError if it is not valid Python."""
    tree = _inlined(ast.parse(tests))
    names = _names(tree)
    steps, checks, expected = [], [], []
    for statement in tree.body:
        if not isinstance(statement, ast.Assert):
            steps.append({"run": ast.unparse(statement)})
            continue
        for test in _conjuncts(statement.test):
            step, check = _halves(test, statement.msg, names)
            steps.append(step)
            checks.append(check)
            expected.append(_plain_answer(test, check))
    return Split(json.dumps(steps), json.dumps(checks), "" if None in expected else json.dumps(expected))


def _inlined(tree: ast.Module) -> ast.Module:
    """Replace `check(f)` by the asserts of `def check(candidate)`, if it contains nothing else."""
    checks, calls = {}, {}
    for statement in tree.body:
        match statement:
            case ast.FunctionDef(args=ast.arguments([], [ast.arg()], None, [], [], None, []), decorator_list=[]):
                if all(_is_assert_or_text(inner) for inner in statement.body):
                    checks[statement.name] = statement
            case ast.Expr(ast.Call(ast.Name(name), [ast.Name()], [])):
                calls[name] = statement
    for name in checks.keys() & calls.keys():
        check, call = checks[name], calls[name]
        mentions = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name]
        asserts = [inner for inner in check.body if isinstance(inner, ast.Assert)]
        if len(mentions) == 1:
            for node in (node for statement in asserts for node in ast.walk(statement)):
                if isinstance(node, ast.Name) and node.id == check.args.args[0].arg:
                    node.id = call.value.args[0].id
            body = [statement for statement in tree.body if statement is not check]
            at = body.index(call)
            tree.body = [*body[:at], *asserts, *body[at + 1 :]]
    return tree


def _is_assert_or_text(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assert() | ast.Pass() | ast.Expr(ast.Constant()):
            return True
    return False


def _conjuncts(test: ast.expr) -> Iterator[ast.expr]:
    """Return the expressions that must all be true."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for value in test.values:
            yield from _conjuncts(value)
    else:
        yield test


def _halves(test: ast.expr, message: ast.expr | None, names: _Names) -> tuple[dict, dict]:
    """Return a test's step, for the program's process, and the check of the step's answer."""
    calls = [node.func for node in ast.walk(test) if isinstance(node, ast.Call)]
    built_in = any(_is_the_programs(function, names) for function in calls)
    compared = test if isinstance(test, ast.Compare) and _by_value(test) else None
    sides = [compared.left, *compared.comparators] if compared else [test]
    equal = compared is not None and all(isinstance(op, ast.Eq) for op in compared.ops)

    operands: list[_Operand] = []
    replaced: list[ast.expr] = []
    for side in sides:
        if _clean(side, names, built_in):
            replaced.append(side)
        else:
            replaced.append(_name(f"__operand{len(operands)}__"))
            operands.append(_operand(side, names, built_in, equal))
    judged = ast.unparse(ast.Compare(replaced[0], compared.ops, replaced[1:]) if compared else replaced[0])

    verdict, least = None, []
    if operands and all(operand.whole or _is_part(operand.template) for operand in operands):
        if compared and len(sides) == 2 and isinstance(compared.ops[0], ast.In | ast.NotIn):
            if replaced[1] is not sides[1]:
                verdict, least = judged, [EXACT, OPAQUE][-len(operands) :]
        elif len(operands) == len(sides):
            verdict, least = judged, [CONTENT] * len(operands)
    used = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
    modules = [name for name in MODULES if name in used and name not in names.changed | names.imported.keys()]
    preludes = [text for name, text in names.imported.items() if name in used] + [f"import {name}" for name in modules]
    common = {"preludes": preludes, "verdict": verdict}
    step = {**common, "least": least, "modules": modules}
    step["operands"] = [
        {"parts": operand.parts, "whole": ast.unparse(operand.template) if operand.whole else None}
        for operand in operands
    ]
    check = {**common, "test": judged, "message": None}
    check["operands"] = [{"template": ast.unparse(operand.template), "whole": operand.whole} for operand in operands]
    if message is not None and _clean(message, names, built_in):
        check["message"] = ast.unparse(message)
    return step, check


def _plain_answer(test: ast.expr, check: dict) -> dict | None:
    """Return the one answer for which `assert PART == LITERAL` is known to be true, if there is one."""
    alone = [operand["template"] for operand in check["operands"]] == ["__part0__"]
    if isinstance(test, ast.Compare) and alone and check["test"].startswith("__operand0__ == "):
        with contextlib.suppress(ValueError, TypeError, RecursionError, MemoryError):
            tree, kept = write(ast.literal_eval(test.comparators[-1]))
            if kept == EXACT and len(test.comparators) == 1:
                return {"operands": [{"parts": [tree]}]}
    return None


def _operand(node: ast.expr, names: _Names, built_in: bool, equal: bool) -> _Operand:
    parts: list[str] = []

    def cut(node: ast.expr) -> ast.expr:
        if _clean(node, names, built_in):
            return node
        match node:
            case ast.BinOp(left, op, right):
                return ast.BinOp(cut(left), op, cut(right))
            case ast.UnaryOp(op, inner):
                return ast.UnaryOp(op, cut(inner))
            case ast.Subscript(value, index) if _clean(index, names, built_in):
                return ast.Subscript(cut(value), index, ast.Load())
            case ast.BoolOp(op, [first, *others]) if all(_clean(other, names, built_in) for other in others):
                return ast.BoolOp(op, [cut(first), *others])
            case ast.Compare(left, ops, rights) if _by_value(node):
                return ast.Compare(cut(left), ops, [cut(right) for right in rights])
            case ast.Call(function, arguments, keywords) if _clean(function, names, built_in) and not any(
                isinstance(argument, ast.Starred) for argument in arguments
            ):
                named = [ast.keyword(keyword.arg, cut(keyword.value)) for keyword in keywords]
                return ast.Call(function, [cut(argument) for argument in arguments], named)
        parts.append(ast.unparse(node))
        return _name(f"__part{len(parts) - 1}__")

    template = cut(node)
    return _Operand(parts, template, not _is_part(template) and not _weighs(template, equal))


def _weighs(template: ast.expr, equal: bool) -> bool:
    """Return whether a part is combined with a clean value so that an object of the program could always pass.

    In `abs(f(x) - 2.5) < 0.1` and `math.isclose(f(x), 2.5)` such an object could be near to everything. If the operand
    must be `equal` to something, a difference is safe.
    """
    for node in ast.walk(template):
        sides: list[ast.expr] = []
        if isinstance(node, ast.BinOp) and not equal:
            sides = [node.left, node.right]
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.BoolOp):
            sides = node.values
        elif isinstance(node, ast.Call) and any(
            isinstance(inner, ast.Name) and inner.id in ("cmath", "math", "isclose") for inner in ast.walk(node.func)
        ):
            sides = node.args
        if len({any(map(_is_part, ast.walk(side))) for side in sides}) == 2:
            return True
    return False


def _name(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _is_part(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id.startswith("__part")


def _by_value(test: ast.Compare) -> bool:
    """Return whether data can be compared by this test; objects lose their identity when they become data."""
    sides = [test.left, *test.comparators]
    return all(
        not isinstance(op, ast.Is | ast.IsNot) or any(map(_is_single, sides[i : i + 2]))
        for i, op in enumerate(test.ops)
    )


def _is_single(node: ast.expr) -> bool:
    """Return whether there is only one object of this value: None, True, a type."""
    if isinstance(node, ast.Constant):
        return node.value is None or node.value is Ellipsis or isinstance(node.value, bool)
    return isinstance(node, ast.Name) and node.id in BUILT_INS


def _names(tree: ast.Module) -> _Names:
    """Return the names that the tests bind."""
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    imported, changed = {}, set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(aliases) | ast.ImportFrom(names=aliases):
                for alias in aliases:
                    name = alias.asname or alias.name.partition(".")[0]
                    source = alias.name if isinstance(node, ast.Import) else "." * node.level + (node.module or "")
                    if node in imports and source in MODULES and name != "*" and name not in imported:
                        imported[name] = ast.unparse(node)
                    else:
                        changed.add(name)
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name) | ast.ExceptHandler(name=name):
                changed.add(name)
            case ast.Name(name, ast.Store() | ast.Del()):
                changed.add(name)
    return _Names({name: text for name, text in imported.items() if name not in changed}, changed)


def _clean(node: ast.expr, names: _Names, built_in: bool) -> bool:
    """Return whether an expression uses no name of the program; with `built_in`, names of built-ins mean built-ins."""
    inner = list(ast.walk(node))
    if any(isinstance(n, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom) for n in inner):
        return False
    known = {n.id for n in inner if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)} | names.imported.keys()
    known |= {n.arg for n in inner if isinstance(n, ast.arg)}
    if built_in:
        known |= BUILT_INS - names.changed
    modules = [n.value for n in inner if isinstance(n, ast.Attribute) and _of_module(n, names)]
    return all(n.id in known or n in modules for n in inner if isinstance(n, ast.Name))


def _of_module(node: ast.Attribute, names: _Names) -> bool:
    match node.value:
        case ast.Name(name) if name in MODULES and name not in names.changed:
            return hasattr(importlib.import_module(name), node.attr)
    return False


def _is_the_programs(function: ast.expr, names: _Names) -> bool:
    """Return whether a function of the program is called; a name with a capital letter is taken for a class."""
    if isinstance(function, ast.Name) and (function.id in BUILT_INS or function.id[0].isupper()):
        return False
    return not _clean(function, names, True)
