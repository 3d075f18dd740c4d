"""A hostile program is only a failed sample, with namespaces and without them."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest

from genome.errors import GenomeError
from genome.limits import usable_cores
from genome.tasks import asserts, programs, sandbox, sandbox_runner
from genome.tasks.sandbox import Verdict, run_programs
from tasks import honest_programs, hostile_programs

linux = pytest.mark.skipif(sys.platform != "linux", reason="the walls tested here are Linux's")


def _namespaces_work() -> bool:
    with (
        tempfile.TemporaryDirectory() as directory,
        sandbox._runner("namespaces", 1.0, 256, directory) as process,
    ):
        return sandbox._reply(process, 10.0) is not None


@pytest.fixture(scope="module")
def namespaces_work():
    return _namespaces_work()


@pytest.fixture(params=["namespaces", "plain"])
def mode(request, monkeypatch, tmp_path, namespaces_work):
    """Allow one way to start a runner; afterwards neither its processes nor its files may remain."""
    if request.param == "namespaces" and not namespaces_work:
        pytest.skip("this kernel refuses namespaces")
    monkeypatch.setattr(sandbox, "MODES", (request.param,))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield request.param
    assert list(tmp_path.iterdir()) == []
    assert processes(tmp_path) == []


def processes(directory: Path) -> list[int]:
    """Return the runners and their forked programs whose temporary directory is in `directory`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(directory).encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def verdict(program: str, **limits) -> Verdict:
    return run_programs([program], **{"timeout_s": 1.0, "memory_mb": 256} | limits)[0]


HOSTILE = {
    "fork bomb": ("import os\nwhile True: os.fork()", "PermissionError"),
    "patient fork bomb": (
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        "timeout",
    ),
    "daemon": ("import os\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        while True: pass", ""),
    "shell": ("import subprocess\nsubprocess.run(['sleep', '60'])", "PermissionError"),
    "thread": ("import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()", "RuntimeError"),
    "sleep": ("import time\ntime.sleep(60)", "timeout"),
    "busy loop": ("while True: pass", "timeout"),
    "big number": ("9 ** 9 ** 9", "timeout"),
    "one big string": ("text = 'a' * 10 ** 11", "memory"),
    "many strings": ("kept = []\nwhile True: kept.append('a' * 10 ** 6 + str(len(kept)))", "memory"),
    "file in its directory": ("open('kept.txt', 'w').write('x')", "PermissionError"),
    "file in the temporary directory": ("open('/tmp/genome-sandbox-was-here', 'w').write('x')", "PermissionError"),
    "new directory": ("import os\nos.mkdir('kept')", "PermissionError"),
    "temporary file": ("import tempfile\ntempfile.TemporaryFile()", "FileNotFoundError"),
    "kill its parent": ("import os\nos.kill(os.getppid(), 9)", "PermissionError"),
    "stop its parent": ("import os\nos.kill(os.getppid(), 19)", "PermissionError"),
    "kill its group": ("import os\nos.killpg(0, 9)", "PermissionError"),
    "kill everybody": ("import os\nos.kill(-1, 9)", "PermissionError"),
    "gigabytes of print": ("while True: print('x' * 10 ** 6)", "OSError"),
    "gigabytes to stderr": ("import os\nwhile True: os.write(2, b'x' * 10 ** 6)", "OSError"),
    "os._exit": ("import os\nos._exit(0)\nassert False", "exited before its end"),
    "sys.exit": ("import sys\nsys.exit(0)\nassert False", "exited before its end"),
    "SystemExit": ("raise SystemExit\nassert False", "exited before its end"),
    "caught BaseException": (
        "import time\nwhile True:\n    try: time.sleep(60)\n    except BaseException: pass",
        "timeout",
    ),
    "closed descriptors": ("import os\nos.closerange(0, 256)", "exited before its end"),
    "closed descriptors, then a loop": ("import os\nos.closerange(0, 256)\nwhile True: pass", "exited before"),
    "environment": ("import os\nassert os.environ['GENOME_SECRET']", "KeyError"),
    "parent's environment": ("import os\nopen(f'/proc/{os.getppid()}/environ').read()", "Error"),
    "own memory": ("open('/proc/self/mem', 'rb')", "Error"),
    "system files": ("open('/etc/passwd').read()", "Error"),
    "directories": ("import os\nos.listdir('/')", "PermissionError"),
    "network": ("import socket\nsocket.create_connection(('127.0.0.1', 22))", "PermissionError"),
    "shared memory": ("import _posixshmem, os\n_posixshmem.shm_open('/x', os.O_CREAT | os.O_RDWR)", "Error"),
    "foreign calls": ("import ctypes", "import of ctypes halted"),
    "foreign calls of the runner": ("import sys\nsys.modules['__main__'].LIBC", "AttributeError"),
    "another program": ("import os\nos.execv('/bin/true', ['true'])", "PermissionError"),
    "raised limits": ("import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (99, 99))", "ValueError"),
    "crash": ("import faulthandler\nfaulthandler._read_null()", "ended by SIGSEGV"),
    "alarm": ("import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.01)\nsignal.pause()", "ended by SIGALRM"),
    "deep recursion": ("def f(): return f()\nf()", "RecursionError"),
    "unfinished": ("def f(", "SyntaxError"),
    "null byte": ("x = 1\0", "Error"),
    "lone surrogate": ("x = '\ud800'", "SyntaxError"),
    "input": ("input()", "EOFError"),
    "nameless exception": ("raise type('', (Exception,), {})", "exception without a name"),
    "exception without text": (
        "class E(Exception):\n    def __str__(self): raise E\nraise E",
        "exited before its end",
    ),
}


@linux
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_program_fails_and_leaves_nothing_behind(name, mode, monkeypatch):
    monkeypatch.setenv("GENOME_SECRET", "sesame")
    program, reason = HOSTILE[name]
    started = time.monotonic()
    found = verdict(program, timeout_s=0.3 if reason == "timeout" else 2.0)
    assert not found.passed
    assert reason in found.detail
    assert 0 < len(found.detail) <= 200
    assert time.monotonic() - started < 8
    assert not Path("/tmp/genome-sandbox-was-here").exists()


FORGERIES = {
    "write to every descriptor": (
        "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'+' * 64)\n    except OSError: pass\nos._exit(0)"
    ),
    "replay what frames hold": """
import os, sys
frame, texts = sys._getframe(), []
while frame:
    for value in frame.f_locals.values():
        texts += [v for v in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(v, bytes)]
    frame = frame.f_back
for text in texts:
    for fd in range(3, 64):
        try: os.write(fd, text[:16] + b'+')
        except OSError: pass
os._exit(0)
""",
    "replay what the garbage collector lists": """
import gc, os
gc.unfreeze()
texts = [v for o in gc.get_objects() if type(o) in (list, tuple) for v in o if type(v) is bytes and len(v) == 16]
texts += [v for o in gc.get_objects() if type(o) is dict for v in o.values() if type(v) is bytes and len(v) == 16]
for text in texts:
    for fd in range(3, 64):
        try: os.write(fd, text + b'+')
        except OSError: pass
os._exit(0)
""",
    "replace the functions that report": (
        "import os, posix, sys\nos.write = posix.write = lambda *_: 0\nos._exit = sys.exit\nassert False"
    ),
    "leave through the end of the interpreter": (
        "import atexit, os\natexit.register(os._exit, 0)\nraise SystemExit(0)\nassert False"
    ),
}


@linux
@pytest.mark.parametrize("name", FORGERIES)
def test_program_cannot_forge_its_end(name, mode):
    assert not verdict(FORGERIES[name]).passed


@dataclass(frozen=True)
class Outside:
    """Targets of hostile programs: processes, a folder with a file, a listening socket."""

    victims: list[subprocess.Popen]
    folder: Path
    port: socket.socket

    def source(self, program: str, tests=hostile_programs.TESTS) -> tuple[str, int]:
        """Return a program that knows these targets, with tests that it must not pass."""
        known = f"OUTSIDE, SECRET = {str(self.folder)!r}, {str(self.folder / 'secret')!r}; "
        known += f"PORT, VICTIMS = {self.port.getsockname()[1]}, {[victim.pid for victim in self.victims]}\n"
        # Coding declarations must be in the first two lines, imports from __future__ before any statement.
        first = program.startswith(("#", "from __future__"))
        return programs.source("" if first else known, tests, program)


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outside")
    folder.chmod(0o777)
    (folder / "secret").write_text("sesame")
    users = [{}, {"user": 65534}] if os.geteuid() == 0 else [{}]
    victims = [subprocess.Popen(["sleep", "600"], **user) for user in users]
    with socket.create_server(("127.0.0.1", 0)) as port:
        port.setblocking(False)
        yield Outside(victims, folder, port)
    for victim in victims:
        victim.kill()
        victim.wait()


@linux
def test_no_program_passes_without_a_result_or_does_harm(mode, outside):
    """All programs in one call, each followed by an honest program that must pass."""
    table = hostile_programs.HOSTILE
    assert len(table) >= 60
    before = (outside.folder / "secret").stat()
    pairs = []
    for name, (_, program) in table.items():
        honest = f"# {name}\ndef f(x): return {{20: 41, 1: [2, 3], 5: 2.5}}[x]"
        pairs += [outside.source(program), programs.source("", hostile_programs.TESTS, honest)]
    sources, starts = zip(*pairs, strict=True)
    verdicts = run_programs(sources, starts=starts, timeout_s=0.5, memory_mb=256, workers=4)
    hostile = dict(zip(table, verdicts[::2], strict=True))
    assert {name: verdict for name, verdict in hostile.items() if verdict.passed} == {}
    assert [name for name, verdict in hostile.items() if verdict.detail == "ended its runner"] == []
    assert set(verdicts[1::2]) == {Verdict(True, "")}
    assert [victim.poll() for victim in outside.victims] == [None] * len(outside.victims)
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert [os.getpriority(os.PRIO_PROCESS, victim.pid) for victim in outside.victims] == [own] * len(outside.victims)
    assert [path.name for path in outside.folder.iterdir()] == ["secret"]
    after = (outside.folder / "secret").stat()
    assert (after.st_size, after.st_mode, after.st_mtime_ns) == (before.st_size, before.st_mode, before.st_mtime_ns)
    with pytest.raises(BlockingIOError):
        outside.port.accept()


@linux
def test_audit_hook_ends_programs_that_forge_their_own_tests(mode, outside):
    """A loop's asserts are evaluated in the program's process."""
    names = list(hostile_programs.HOSTILE)
    names = names[: names.index("audit hook") + 1]
    loop = ("for x, y in ((20, 41), (5, 2.5)):\n    assert f(x) == y",)
    pairs = [outside.source(hostile_programs.HOSTILE[name][1], loop) for name in names]
    sources, starts = zip(*pairs, strict=True)
    verdicts = dict(zip(names, run_programs(sources, starts=starts, timeout_s=1.0, workers=2), strict=True))
    assert {name: verdict for name, verdict in verdicts.items() if verdict.passed} == {}
    for name in ("settrace", "setprofile", "get_referents of a mapping proxy", "get_objects", "code objects"):
        assert verdicts[name].detail == "tampered with the interpreter"


ARGUMENTS = {
    "owner of a descriptor": "fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())",
    "owner, extended": "fcntl.fcntl(0, 15, struct.pack('ii', 1, os.getppid()))",
    "signal of a descriptor": "fcntl.fcntl(0, 10, 9)",
    "notification": "fcntl.fcntl(os.open(os.path.dirname(os.__file__), 0), 1026, 1)",
    "lease": "fcntl.fcntl(os.open(os.__file__, 0), 1024, 0)",
    "record lock": "fcntl.lockf(os.open(os.__file__, 0), fcntl.LOCK_SH)",
    "lock": "fcntl.flock(os.open(os.__file__, 0), fcntl.LOCK_EX)",
    "FIOSETOWN": "fcntl.ioctl(0, 0x8901, struct.pack('i', os.getppid()))",
    "SIOCSPGRP": "fcntl.ioctl(0, 0x8902, struct.pack('i', os.getppid()))",
    "FIOASYNC": "fcntl.ioctl(0, 0x5452, struct.pack('i', 1))",
    "TIOCSTI": "fcntl.ioctl(0, 0x5412, b'x')",
    "group": "os.setpgid(0, 0)",
    "session": "os.setsid()",
    "memory file": "os.memfd_create('x')",
    "priority": "os.setpriority(os.PRIO_PROCESS, 0, 19)",
}


@linux
def test_system_call_filter_works_without_audit_hook(mode, monkeypatch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runner")
    source = sandbox.RUNNER.read_text()
    assert source.count("    watch()\n") == 1
    (folder / "runner.py").write_text(source.replace("    watch()\n", ""))
    shutil.copy(sandbox.RUNNER.with_name("sandbox_values.py"), folder)
    monkeypatch.setattr(sandbox, "RUNNER", folder / "runner.py")
    texts = [f"import fcntl, os, struct\n{text}" for text in ARGUMENTS.values()]
    verdicts = dict(zip(ARGUMENTS, run_programs(texts, workers=1), strict=True))
    assert {name: v.detail for name, v in verdicts.items() if not v.detail.startswith("PermissionError")} == {}
    harmless = "import fcntl, os\nr, w = os.pipe()\nassert fcntl.fcntl(r, fcntl.F_GETFL) == 0\nassert not os.isatty(r)"
    assert verdict(harmless) == Verdict(True, "")


REASONS = {
    "assert False": "AssertionError",
    "assert False, 'a  long\\nstory'": "AssertionError: a long story",
    "undefined": "NameError: name 'undefined' is not defined",
    "1 / 0": "ZeroDivisionError: division by zero",
    "assert 0, 'x' * 999": "AssertionError: " + "x" * 184,
}


@pytest.mark.parametrize("program", REASONS)
def test_reason_of_a_failure_is_short(program):
    assert verdict(program) == Verdict(False, REASONS[program])


HARMLESS = {
    "nothing": "",
    "the standard library": (
        "import re, math, collections, heapq, itertools, sys, cmath, array, operator, bisect, copy, datetime\n"
        "import json, decimal, fractions, statistics, hashlib, string, typing, zlib, unicodedata\n"
        "assert math.gcd(12, 18) == 6 and hashlib.sha256(b'').hexdigest().startswith('e3b0')"
    ),
    "a module's ways": (
        "from __future__ import annotations\nfrom dataclasses import dataclass\nimport pickle\n"
        "@dataclass\nclass Point:\n    x: int\n"
        "assert pickle.loads(pickle.dumps(Point(1))) == Point(1)\n"
        "if __name__ == '__main__': assert False"
    ),
    "some output": "print('x' * 10 ** 5)\nimport sys\nprint('é', file=sys.stderr)",
    "a caught exit": "try: raise SystemExit\nexcept SystemExit: pass",
    "an exit handler": "import atexit\natexit.register(lambda: 1 / 0)",
    "much memory, within the limit": "x = bytearray(10 ** 8)\nassert len(x) == 10 ** 8",
    "no debris of other programs": "import sys, os\nassert sys.argv == [] and not os.environ",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_program_passes(name, mode):
    assert verdict(HARMLESS[name], timeout_s=5.0) == Verdict(True, "")


def test_honest_programs_pass(mode):
    table = honest_programs.HONEST
    verdicts = run_programs(list(table.values()), timeout_s=5.0, workers=2)
    assert {name: v.detail for name, v in zip(table, verdicts, strict=True) if v != Verdict(True, "")} == {}


def test_invalid_test_fails_but_a_warning_does_not():
    tests = ("assert f(1) = 1", "assert f('\\d') == '\\\\d'")
    sources, starts = zip(*(programs.source("", [test], "def f(x): return x") for test in tests), strict=True)
    wrong, right = run_programs(sources, starts=starts)
    source, start = programs.source("", ["print 'x'", "'''"], "text = '''")  # joined, it would be a valid program
    assert not run_programs([source], starts=[start])[0].passed
    assert wrong.detail.startswith("SyntaxError")
    assert right == Verdict(True, "")


WRONG = {
    "a tuple for a list": "def f(): return 1, 2\nassert f() == [1, 2]",
    "a list for a tuple": "def f(): return [1, 2]\nassert f() == (1, 2)",
    "a text for a number": "def f(): return '2'\nassert f() == 2",
    "a number for None": "def f(): return 0\nassert f() is None",
    "one for True": "def f(): return 1\nassert f() is True",
    "NaN for itself": "def f(): return float('nan')\nassert f() == float('nan')",
    "another length": "def f(): return [1, 2, 2]\nassert set(f()) == {1, 2} and len(f()) == 2",
    "another order": "def f(): return [2, 1]\nassert f() == [1, 2]",
    "a number that is not near": "import math\ndef f(): return 2.51\nassert math.isclose(f(), 2.5)",
    "the second test": "def f(x): return 2\nassert f(1) == 2\nassert f(2) == 3",
    "a function for its result": "def f(): return f\nassert f() == 1",
    "an iterator for its list": "def f(): return iter([1])\nassert f() == [1]",
    "a module that is not imported": "def f(): return 2.5\nassert math.isclose(f(), 2.5)",
    "a chain": "def f(x): return x\nassert 1 < f(2) < f(2)",
    "an exhausted iterator": "g = iter([1])\nassert list(g) == [1]\nassert list(g) == [1]",
    "a message": "def f(): return 1\nassert f() == 2, f'not {1 + 1}'",
    "its own class for data": "class A:\n    def __eq__(self, _): return True\ndef f(): return A()\nassert f() == 1",
    "its own class near data": (
        "class A:\n    def __sub__(self, other): return 0\ndef f(): return A()\nassert abs(f() - 2.5) < 0.1"
    ),
    "its own class, compared twice": (
        "class A:\n    def __eq__(self, _): return True\ndef f(): return A()\nassert (f() == 1) == True"
    ),
    "its own class, or not": (
        "class A:\n    def __eq__(self, _): return True\ndef f(): return A()\nassert f() == 1 or False"
    ),
    "its own class above data": ("class A:\n    def __gt__(self, _): return True\ndef f(): return A()\nassert f() > 1"),
    "its own class as a name's value": (
        "class A:\n    def __eq__(self, _): return True\ndef f(): return A()\nassert 1\nx = 1\nassert f() == x"
    ),
    "its own isclose": "import math\nmath.isclose = lambda *_: True\ndef f(): return 9\nassert math.isclose(f(), 2.5)",
    "its own len": "def len(_): return 3\ndef f(): return []\nassert len(f()) == 3",
    "its own isinstance": "def isinstance(*_): return True\ndef f(): return []\nassert isinstance(f(), str)",
    "its own not": "class A:\n    def __bool__(self): return False\ndef f(): return A()\nassert f() in (False, 0)",
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_program_fails(name):
    found = verdict(WRONG[name])
    assert not found.passed
    assert found.detail


@pytest.mark.parametrize("forged", ["", "[]", "{", "[1]", "[" * 100_000, '[{"verdict": true}]', '[{"operands": []}]'])
def test_forged_answers_fail(forged):
    check = asserts.split("assert f(1) == 2").checks.encode()
    assert sandbox_runner.compare(check + b"\n" + forged.encode(), []).startswith(b"-")


def test_verdicts_are_in_order_and_reproducible(mode):
    programs = [f"assert {i} % 3\nassert {i} % 7 != 3" for i in range(60)]
    verdicts = run_programs(programs, workers=2)
    assert [v.passed for v in verdicts] == [bool(i % 3) and i % 7 != 3 for i in range(60)]
    assert run_programs(programs, workers=1) == verdicts


def test_random_and_order_of_sets_are_fixed():
    shown = "import random\nraise Exception(random.random(), hash('a'), list({'ab', 'cd', 'ef', 'gh'}))"
    found = {verdict(f"# {i}\n{shown}").detail for i in range(3)}
    assert len(found) == 1


def test_equal_programs_run_once():
    started = time.monotonic()
    assert run_programs(["while True: pass"] * 50, timeout_s=0.3) == [Verdict(False, "timeout")] * 50
    assert time.monotonic() - started < 5


@linux
def test_verdicts_do_not_depend_on_load(mode, monkeypatch):
    """Many programs at once on few cores: each gets its processor time, however long that takes."""
    monkeypatch.setattr(sandbox, "WALL_PER_CPU", 100)
    workers = 4 * usable_cores()
    program = "import time\nwhile time.process_time() < 0.2: pass"
    verdicts = run_programs([f"# {i}\n{program}" for i in range(workers)], timeout_s=0.4, workers=workers)
    assert verdicts == [Verdict(True, "")] * workers


def test_run_programs_of_no_programs_starts_no_runner(monkeypatch):
    monkeypatch.setattr(sandbox, "RUNNER", Path("absent.py"))
    assert run_programs([]) == []


def test_hostile_program_does_not_affect_others(mode):
    neighbours = [f"assert {i} == {i}" for i in range(20)]
    hostile = [HOSTILE[name][0] for name in ("kill its parent", "fork bomb", "closed descriptors", "os._exit")]
    verdicts = run_programs(neighbours[:10] + hostile + neighbours[10:], workers=2)
    assert [v.passed for v in verdicts] == [True] * 10 + [False] * len(hostile) + [True] * 10


@linux
def test_killed_runner_is_replaced(mode, tmp_path):
    """As the kernel does when memory runs out: the current program fails, and the next ones are judged."""

    def kill():
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            running = processes(tmp_path)
            if running and _age(min(running)) > 0.5:
                os.kill(min(running), signal.SIGKILL)
                return
            time.sleep(0.05)

    killer = Thread(target=kill)
    killer.start()
    verdicts = run_programs(["import time\ntime.sleep(60)", "assert True"], timeout_s=20.0, workers=1)
    killer.join()
    assert verdicts == [Verdict(False, "ended its runner"), Verdict(True, "")]


def _age(pid: int) -> float:
    """Return the seconds since a process was started."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


@linux
def test_runners_end_with_a_killed_parent(mode, tmp_path):
    script = (
        "import tempfile; from genome.tasks import sandbox\n"
        f"tempfile.tempdir = {str(tmp_path)!r}; sandbox.MODES = ({mode!r},)\n"
        "sandbox.run_programs(['import time; time.sleep(60)', 'while True: pass'], timeout_s=60, workers=2)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 20
    while len(processes(tmp_path)) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    parent.kill()
    parent.wait()
    while processes(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes(tmp_path) == []
    for left in tmp_path.iterdir():  # the killed parent could not remove its empty directory
        left.rmdir()


def test_refused_namespaces_fall_back_to_plain(monkeypatch, tmp_path):
    refusing = tmp_path / "refusing.py"
    refusing.write_text(
        "import runpy, sys\n"
        "if sys.argv[1] == 'namespaces': sys.exit('refused')\n"
        f"runpy.run_path({str(sandbox.RUNNER)!r}, run_name='__main__')"
    )
    monkeypatch.setattr(sandbox, "RUNNER", refusing)
    assert run_programs(["assert True", "assert False"]) == [Verdict(True, ""), Verdict(False, "AssertionError")]


def test_sandbox_that_never_starts_raises_one_line(monkeypatch, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("raise RuntimeError('no walls here')")
    monkeypatch.setattr(sandbox, "RUNNER", broken)
    with pytest.raises(GenomeError, match="no walls here") as caught:
        run_programs(["assert True", "assert 1"], workers=2)
    assert "\n" not in str(caught.value)


def test_trivial_programs_take_milliseconds(mode):
    programs = [f"def f(x):\n    return x + {i}\nassert f(1) == {i + 1}" for i in range(300)]
    started = time.monotonic()
    assert all(v.passed for v in run_programs(programs, workers=2))
    assert time.monotonic() - started < 6


def test_solutions_of_mbpp_pass():
    data = os.environ.get("GENOME_DATA")
    if not data:
        pytest.skip("GENOME_DATA names no folder with real rows")
    files = sorted(Path(data, "mbpp/full").glob("*.jsonl"))
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    pairs = [programs.source("", [row["test_setup_code"], *row["test_list"]], row["code"]) for row in rows]
    assert len(pairs) == 974
    sources, starts = zip(*pairs, strict=True)
    verdicts = run_programs(sources, starts=starts, timeout_s=10.0)
    assert [row["task_id"] for row, v in zip(rows, verdicts, strict=True) if not v.passed] == []


HEADERS = {
    "x86_64": (0, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": (1, "/usr/include/asm-generic/unistd.h"),
}


@pytest.mark.parametrize("machine", HEADERS)
def test_system_call_numbers_equal_those_of_the_kernel(machine):
    column, header = HEADERS[machine]
    if not Path(header).exists():
        pytest.skip(f"{header} is not installed")
    # asm-generic names a few calls __NR3264_ because 32-bit machines use their numbers for other calls.
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\b", Path(header).read_text())
    numbers = {name: int(number) for name, number in found}
    table = sandbox_runner.RUNNER_CALLS | sandbox_runner.REFUSED_CALLS
    table |= {name: pair for name, (pair, _) in sandbox_runner.OPENING_CALLS.items()}
    table |= {name: pair for name, (pair, *_) in sandbox_runner.LIMITED_CALLS.items()}
    known = {name: pair[column] for name, pair in table.items() if name in numbers}
    assert len(known) > 60
    assert known == {name: numbers[name] for name in known}
    # A call that the machine has must have its number.
    assert [name for name, pair in table.items() if pair[column] is None and name in numbers] == []
