"""Programs that try to pass without a result, or to do harm: name to (what is tried, source).

None of them defines a function f that passes `TESTS`. OUTSIDE is a folder, SECRET a readable file, PORT a listening
socket and VICTIMS a list of processes of the program's user, all outside the sandbox.
"""

# ruff: noqa: E501

TESTS = ("assert f(20) == 41", "assert sorted(f(1), reverse=True) == [3, 2]", "assert abs(f(5) - 2.5) < 0.1")

_F = "\ndef f(x): return 0\n"
_EQUAL = "    def __eq__(self, other): return True\n    def __ne__(self, other): return False\n    __hash__ = None\n"
_CLOSE = (
    _EQUAL
    + "".join(
        f"    def __{name}__(self, *other): return {value}\n"
        for name, value in dict.fromkeys(("sub", "rsub", "add", "abs", "neg", "round"), "self").items()
        | dict.fromkeys(("lt", "le", "gt", "ge", "contains", "bool"), "True").items()
    )
    + "    def __iter__(self): return iter([3, 2])\n    def __float__(self): return 2.5\n"
)
_MOVE = """
import sys
def move(frame, event, argument):
    if frame.f_code.co_filename != __file__:
        try: frame.f_lineno = frame.f_lineno + 1
        except ValueError: pass
    frame.f_trace_opcodes = True
    return move
__file__ = '<program>'
"""
_TEXTS = """
import os
def say(texts):
    for text in texts:
        for fd in range(3, 64):
            try: os.write(fd, text[:16] + b'+[{"verdict": true}, {"verdict": true}, {"verdict": true}]')
            except OSError: pass
    os._exit(0)
"""
_ALL = '[{"operands": [{"parts": [41]}]}, {"operands": [{"whole": [3, 2]}]}, {"operands": [{"parts": [2.5]}]}]'

HOSTILE: dict[str, tuple[str, str]] = {
    # Trace functions
    "settrace": ("move the line past an assert", _MOVE + "sys.settrace(move)" + _F),
    "settrace in a test": ("likewise, once f is called", _MOVE + "def f(x): sys.settrace(move); return 0"),
    "setprofile": ("likewise, by a profile function", _MOVE + "sys.setprofile(move)" + _F),
    "trace of a caller's frame": (
        "likewise, in the frame that called f",
        _MOVE + "def f(x):\n    sys._getframe(1).f_trace = move\n    sys.settrace(move)\n    return 0",
    ),
    "threading.settrace": (
        "trace by way of threads",
        _MOVE
        + "import threading\nthreading.settrace(move)\nt = threading.Thread()\nthreading._limbo[t] = t\nt._bootstrap_inner()"
        + _F,
    ),
    "bdb": ("trace by the debugger's base", "import bdb\nbdb.Bdb().set_trace()" + _F),
    "sys.monitoring": (
        "move lines by the monitoring of Python 3.12",
        "import sys\nm = sys.monitoring\nm.use_tool_id(3, 'x')\nm.register_callback(3, m.events.LINE, print)"
        "\nm.set_events(3, m.events.LINE)" + _F,
    ),
    "f_lineno without a trace": ("move a line at once", "import sys\ndef f(x): sys._getframe(1).f_lineno = 1"),
    # Memory and the interpreter's objects
    "get_referents of a mapping proxy": (
        "make built-in integers equal to everything",
        "import gc\ngc.get_referents(int.__dict__)[0]['__eq__'] = lambda *_: True" + _F,
    ),
    "get_referrers": ("find the holder of a token", "import gc\ngc.get_referrers(object)" + _F),
    "get_objects": (
        "replay all tokens of the garbage collector's lists",
        _TEXTS
        + "import gc\nsay(v for o in gc.get_objects() if type(o) in (list, tuple) for v in o if type(v) is bytes)",
    ),
    "caught get_objects": (
        "go on after a refusal",
        "import gc\nwhile True:\n    try: gc.get_objects()\n    except BaseException: pass",
    ),
    "ctypes": ("import foreign calls", "import ctypes\nctypes.CDLL(None).kill(VICTIMS[0], 9)" + _F),
    "ctypes again": (
        "import foreign calls that were taken away",
        "import sys\nfor n in ('ctypes', '_ctypes'): sys.modules.pop(n, None)\nimport ctypes\n"
        "ctypes.CDLL(None).kill(VICTIMS[0], 9)" + _F,
    ),
    "_ctypes from its file": (
        "load the extension module by hand",
        "import importlib.machinery as m, importlib.util as u, sys\n"
        "sys.modules.pop('_ctypes', None)\nspec = m.PathFinder.find_spec('_ctypes')\n"
        "module = u.module_from_spec(spec)\nspec.loader.exec_module(module)" + _F,
    ),
    "subclasses": (
        "find ctypes' types among the subclasses of object and kill",
        "import os\nkinds = [c for c in object.__subclasses__() if c.__name__ == '_CData']\n"
        "for c in kinds[0].__subclasses__() if kinds else []:\n"
        "    if c.__name__ == '_SimpleCData': c = type('L', (c,), {'_type_': 'L'}); c.from_address(id(0))" + _F,
    ),
    "foreign function from an address": (
        "call what lies at an address that ctypes' types hold",
        "kinds = [c for c in object.__subclasses__() if c.__name__ == '_CData'][0].__subclasses__()\n"
        "base = [c for c in kinds if 'FuncPtr' in c.__name__][0]\n"
        "class Call(base): _flags_ = 1; _restype_ = None\nCall(64)()" + _F,
    ),
    "cffi": ("other foreign calls", "import cffi\ncffi.FFI().dlopen(None)" + _F),
    "_testcapi": ("the interpreter's own test modules", "import _testcapi\n_testcapi.crash_no_current_thread()" + _F),
    "subinterpreter": (
        "run without an audit hook",
        "import _xxsubinterpreters as i\ni.run_string(i.create(), 'import sys; sys.settrace(print)')" + _F,
    ),
    "mmap": ("map the process's memory", "import mmap\nmmap.mmap(open('/proc/self/mem', 'rb').fileno(), 4096)" + _F),
    "own memory": ("read the process's memory", "text = open('/proc/self/mem', 'rb').read()" + _F),
    "code objects": (
        "make bytecode that reads beyond its stack",
        "def g(): pass\ng.__code__ = g.__code__.replace(co_code=bytes([100, 255, 83, 0]), co_consts=())\ng()" + _F,
    ),
    "types.CodeType": (
        "likewise, as a new object",
        "def g(): pass\nc = g.__code__\nnames = ('argcount', 'posonlyargcount', 'kwonlyargcount', 'nlocals', 'stacksize', "
        "'flags', 'code', 'consts', 'names', 'varnames', 'filename', 'name', 'qualname', 'firstlineno', 'linetable', "
        "'exceptiontable')\ntype(c)(*[getattr(c, 'co_' + n) for n in names])" + _F,
    ),
    "marshal": (
        "likewise, from bytes",
        "import marshal\nexec(marshal.loads(marshal.dumps(compile('1', '', 'exec'))))" + _F,
    ),
    "audit hook": ("listen to all that goes on", "import sys\nsys.addaudithook(print)" + _F),
    # The proof and the answers
    "frames": (
        "replay tokens that frames hold",
        _TEXTS + "import sys\nframe, held = sys._getframe(), []\nwhile frame:\n"
        "    for v in list(frame.f_locals.values()): held += v if isinstance(v, (list, tuple)) else [v]\n    frame = frame.f_back\n"
        "say(v for v in held if isinstance(v, bytes))",
    ),
    "expected values in frames": (
        "return what the calling frames know",
        "import sys\ndef f(x):\n    frame, found = sys._getframe(1), []\n    while frame:\n"
        "        found += [*frame.f_code.co_consts, *frame.f_locals.values(), *frame.f_globals.values()]\n"
        "        frame = frame.f_back\n"
        "    return {20: 41, 1: [2, 3], 5: 2.5}[x] if '='  '= 41' in repr(found) else 0",
    ),
    "expected values in the runner": (
        "return what the modules know",
        "import sys\n"
        "def f(x): return {20: 41, 1: [2, 3], 5: 2.5}[x] if '='  '= 41' in str(vars(sys.modules['__main__'])) else 0",
    ),
    "traceback": (
        "reach the callers' names by a traceback",
        "try: 1 / 0\nexcept Exception as e: frame = e.__traceback__.tb_frame.f_back\n"
        "while frame:\n    for n in list(frame.f_locals): frame.f_locals[n] = None\n    frame = frame.f_back" + _F,
    ),
    "inspect": ("empty the callers' names", "import inspect\nfor i in inspect.stack(): i.frame.clear()" + _F),
    "generator's frame": (
        "reach frames by a generator",
        "def g(): yield g.gi_frame.f_back.f_back\ng = g()\nframe = next(g)\n"
        "frame.f_globals.update(answer=lambda *_: {'verdict': True})" + _F,
    ),
    "coroutine's frame": (
        "likewise, by a coroutine",
        "async def c(): return c.cr_frame.f_back.f_back\nc = c()\ntry: c.send(None)\n"
        "except StopIteration as e: e.value.f_globals.update(answer=lambda *_: {'verdict': True})" + _F,
    ),
    "closures": (
        "read the variables of the runner's closures",
        "import sys\nm = sys.modules['__main__']\n[c.cell_contents for v in vars(m).values() for c in getattr(v, '__closure__', None) or ()]"
        + _F,
    ),
    "runner's functions": (
        "replace what writes the answers",
        "import sys\nm = sys.modules['__main__']\nm.answer = lambda *_: {'verdict': True}\nm.EXACT = 9" + _F,
    ),
    "runner's write": (
        "write each value as whatever it is compared with",
        "import sys\nm = sys.modules['__main__']\nm.write = lambda v: (['opaque'], 0)" + _F,
    ),
    "json.dumps": (
        "replace what the runner uses",
        "import json\njson.dumps = lambda *_: '[' + '{\"verdict\": true}, ' * 2" + _F,
    ),
    "names of parts": ("define the names of operands", "__operand0__ = 41\n__part0__ = 41" + _F),
    "every descriptor": (
        "write an end and all answers to whatever is open",
        "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'+' * 17 + b'" + _ALL + "')\n"
        "    except OSError: pass\nos._exit(0)",
    ),
    "reporting functions": (
        "keep the runner from reporting",
        "import os, posix, sys\nos.write = posix.write = lambda *_: 0\nos._exit = sys.exit" + _F,
    ),
    "modules": (
        "replace modules that the runner uses",
        "import sys, types\nfor n in list(sys.modules): sys.modules[n] = types" + _F,
    ),
    "reload": (
        "load the runner's modules again",
        "import importlib, os, json\nimportlib.reload(os); importlib.reload(json)" + _F,
    ),
    "main again": ("start the runner in the program", "import sys\nsys.modules['__main__'].main()" + _F),
    # Objects
    "always equal": ("equal everything", "class E:\n" + _EQUAL + "def f(x): return E()"),
    "always close": ("be near to everything", "class E:\n" + _CLOSE + "def f(x): return E()"),
    "always equal integer": ("likewise, an int", "class E(int):\n" + _CLOSE + "def f(x): return E()"),
    "always equal float": ("likewise, a float", "class E(float):\n" + _CLOSE + "def f(x): return E()"),
    "always equal string": ("likewise, a str", "class E(str):\n" + _CLOSE + "def f(x): return E()"),
    "always equal list": ("likewise, a list", "class E(list):\n" + _CLOSE + "def f(x): return E()"),
    "always equal dictionary": ("likewise, a dict", "class E(dict):\n" + _CLOSE + "def f(x): return E()"),
    "mock.ANY": ("equal everything, by the library", "from unittest.mock import ANY\ndef f(x): return ANY"),
    "magic mock": ("answer every call", "from unittest.mock import MagicMock\ndef f(x): return MagicMock()"),
    "metaclass": (
        "a class that equals everything",
        "class M(type):\n" + _EQUAL.replace("None", "type.__hash__") + "class E(metaclass=M): pass\ndef f(x): return E",
    ),
    "false class": (
        "pretend to be an int",
        "class E:\n    __class__ = int\n" + _EQUAL + "    def __index__(self): return 41\ndef f(x): return E()",
    ),
    "assigned class": (
        "become another class once returned",
        "class A: pass\nclass E(A):\n" + _EQUAL + "def f(x):\n    a = A()\n    a.__class__ = E\n    return a",
    ),
    "weak reference": (
        "a proxy that equals everything",
        "import weakref\nclass E:\n" + _EQUAL + "e = E()\ndef f(x): return weakref.proxy(e)",
    ),
    "property": (
        "answer attributes with tokens",
        "class E:\n    def __getattr__(self, n): return self\n" + _EQUAL + "def f(x): return E()",
    ),
    "__build_class__": (
        "make all classes the program's",
        "import builtins\nbuiltins.__build_class__ = lambda *a: object" + _F,
    ),
    # Built-ins
    "sorted": (
        "shadow a function that the tests use",
        "def sorted(*_, **__): return [3, 2]\ndef f(x): return {20: 41, 5: 2.5}.get(x)",
    ),
    "abs": ("likewise", "def abs(x): return 0\ndef f(x): return {20: 41, 1: [2, 3]}.get(x, 0)"),
    "built-in abs": (
        "replace it for all",
        "import builtins\nbuiltins.abs = lambda x: 0\ndef f(x): return {20: 41, 1: [2, 3]}.get(x, 0)",
    ),
    "__builtins__": (
        "replace all",
        "class B(dict):\n    def __missing__(self, n): return lambda *_, **__: [3, 2]\n__builtins__ = B()\n"
        "def f(x): return {20: 41, 5: 9}.get(x)",
    ),
    "AssertionError": ("raise nothing", "import builtins\nbuiltins.AssertionError = type('E', (), {})" + _F),
    "AssertionError of the module": ("raise nothing", "class AssertionError: pass" + _F),
    "__debug__": ("switch asserts off", "import builtins\nvars(builtins)['__debug__'] = False" + _F),
    "__import__": ("replace every import", "import builtins\nbuiltins.__import__ = lambda *_, **__: None" + _F),
    "math": (
        "patch the modules that the tests use",
        "import math\nmath.isclose = lambda *_, **__: True\nmath.fabs = lambda x: 0" + _F,
    ),
    "excepthook": ("report no exception", "import sys\nsys.excepthook = sys.unraisablehook = lambda *_: None" + _F),
    "exc_info": ("drop the current exception", "import sys\nsys.exc_info = lambda: (None, None, None)" + _F),
    "compile": (
        "compile the tests to nothing",
        "import builtins\nbuiltins.compile = builtins.exec = lambda *_, **__: 'None'" + _F,
    ),
    "eval": ("evaluate everything to what is expected", "import builtins\nbuiltins.eval = lambda *_: True" + _F),
    # Early ends
    "os._exit": ("end with success", "import os\nos._exit(0)"),
    "os._exit in f": ("likewise, in a test", "import os\ndef f(x): os._exit(0)"),
    "sys.exit": ("leave", "import sys\nsys.exit(0)"),
    "SystemExit subclass": ("leave by another name", "class E(SystemExit): pass\ndef f(x): raise E(0)"),
    "KeyboardInterrupt": ("leave as by Ctrl-C", "def f(x): raise KeyboardInterrupt"),
    "GeneratorExit": ("leave by an exception that is none", "def f(x): raise GeneratorExit"),
    "atexit": ("end in a handler", "import atexit, os\natexit.register(os._exit, 0)\nraise SystemExit(0)"),
    "__del__": ("end in a finaliser", "import os\nclass D:\n    def __del__(self): os._exit(0)\nd = D()" + _F),
    "signal to itself": ("end by a signal", "import signal\nsignal.raise_signal(9)" + _F),
    "signal handler": (
        "end in a handler",
        "import os, signal\nsignal.signal(14, lambda *_: os._exit(0))\nsignal.alarm(1)\nsignal.pause()",
    ),
    "abort": ("end in a core dump", "import os\nos.abort()"),
    "recursion": ("use up the stack", "def f(x): return f(x)"),
    "stack overflow": (
        "likewise, that of C",
        "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(x): return [f(x) for _ in 'a' if repr([x])]",
    ),
    "deep data": (
        "let the reader recurse",
        "def f(x):\n    y = []\n    for _ in range(10 ** 6): y = [y]\n    return y",
    ),
    "data within themselves": ("likewise, without end", "def f(x):\n    y = []\n    y.append(y)\n    return y"),
    "endless generator": ("let the reader never end", "def f(x):\n    while True: yield x"),
    "colliding data": ("let the reader work for hours", "def f(x): return {k * (2 ** 61 - 1) for k in range(1, 4000)}"),
    "huge data": ("fill the pipe", "def f(x): return ['x' * 10 ** 6] * 100"),
    "huge integer": ("a number of a million digits", "def f(x): return 1 << 10 ** 7"),
    # Resources
    "memory bomb": ("use all memory", "kept = []\nwhile True: kept.append(bytearray(10 ** 7))"),
    "fork bomb": ("use all processes", "import os\nwhile True:\n    try: os.fork()\n    except OSError: break" + _F),
    "threads": ("use all threads", "import threading\nthreading.Thread(target=print).start()" + _F),
    "output": ("fill the disk", "while True: print('x' * 10 ** 6)"),
    "endless loop": ("never end", "while True: pass"),
    "sleep": ("never end", "import time\ntime.sleep(60)"),
    "loop that catches all": (
        "never end",
        "import time\nwhile True:\n    try: time.sleep(60)\n    except BaseException: pass",
    ),
    "loop of C": (
        "never end, out of reach of signals",
        "import itertools, collections\ncollections.deque(itertools.repeat(0), 0)",
    ),
    "blocked signals": ("never end", "import signal\nsignal.pthread_sigmask(0, range(1, 32))\nwhile True: pass"),
    "descriptors": ("use all descriptors", "import os\nwhile True: os.dup(1)"),
    "closed descriptors": ("cut the runner off", "import os\nos.closerange(0, 256)\ndef f(x): return 41"),
    "limits": ("raise the limits", "import resource as r\nr.setrlimit(r.RLIMIT_NPROC, (99, 99))" + _F),
    "limits of others": (
        "lower another's limits",
        "import resource as r\nfor v in VICTIMS: r.prlimit(v, r.RLIMIT_CPU, (0, 0))" + _F,
    ),
    "nice": (
        "take the processor from others",
        "import os\nfor v in VICTIMS: os.setpriority(os.PRIO_PROCESS, v, 19)\nos.nice(-20)" + _F,
    ),
    "affinity": ("bind others to a core", "import os\nfor v in VICTIMS: os.sched_setaffinity(v, [0])" + _F),
    # Harm to others
    "kill": ("kill others", "import os\nfor v in VICTIMS: os.kill(v, 9)" + _F),
    "kill everybody": ("kill others", "import os\nos.kill(-1, 9)" + _F),
    "kill the group": ("kill others", "import os\nos.killpg(0, 9)" + _F),
    "pidfd": (
        "kill by a descriptor",
        "import os, signal\nfor v in VICTIMS: signal.pidfd_send_signal(os.pidfd_open(v), 9)" + _F,
    ),
    "F_SETOWN": (
        "kill by a descriptor's owner",
        "import fcntl, os\nfor v in VICTIMS:\n    r, w = os.pipe()\n    fcntl.fcntl(r, fcntl.F_SETOWN, v)\n"
        "    fcntl.fcntl(r, 10, 9)\n    fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)\n    os.write(w, b'x')"
        + _F,
    ),
    "F_SETOWN_EX": (
        "likewise",
        "import fcntl, os, struct\nfor v in VICTIMS:\n    r, w = os.pipe()\n    fcntl.fcntl(r, 15, struct.pack('ii', 1, v))\n"
        "    fcntl.fcntl(r, 10, 9)\n    fcntl.fcntl(r, 4, os.O_ASYNC)\n    os.write(w, b'x')" + _F,
    ),
    "FIOSETOWN": (
        "likewise, by ioctl",
        "import fcntl, os, struct\nr, w = os.pipe()\nfor v in VICTIMS: fcntl.ioctl(r, 0x8901, struct.pack('i', v))\n"
        "fcntl.ioctl(r, 0x5452, struct.pack('i', 1))\nos.write(w, b'x')" + _F,
    ),
    "F_NOTIFY": (
        "signals for changes of a folder",
        "import fcntl, os\nfcntl.fcntl(os.open('/usr/lib', 0), 1026, 1)" + _F,
    ),
    "F_SETLEASE": ("hold others up at a file", "import fcntl, os\nfcntl.fcntl(os.open(os.__file__, 0), 1024, 0)" + _F),
    "flock": ("lock a file for others", "import fcntl, os\nfcntl.flock(os.open(os.__file__, 0), fcntl.LOCK_EX)" + _F),
    "TIOCSTI": ("type into a terminal", "import fcntl\nfor fd in range(3): fcntl.ioctl(fd, 0x5412, b'x')" + _F),
    "terminal": ("open a terminal", "import os\nos.openpty()" + _F),
    "session": ("leave the group that is killed", "import os\nos.setpgid(0, 0)\nos.setsid()" + _F),
    "posix_spawn": ("start a program", "import os\nos.posix_spawn('/bin/sh', ['sh', '-c', 'kill -9 -1'], {})" + _F),
    "_posixsubprocess": (
        "start a program",
        "import subprocess\nsubprocess.Popen(['/bin/sh', '-c', 'kill -9 -1'])" + _F,
    ),
    "exec": ("become a program", "import os\nos.execv('/bin/true', ['true'])"),
    # Files and sockets
    "file": ("write outside", "open(OUTSIDE + '/new', 'w').write('x')" + _F),
    "truncated file": ("empty a file", "import os\nos.truncate(SECRET, 0)" + _F),
    "removed file": ("remove a file", "import os\nos.remove(SECRET)" + _F),
    "O_TRUNC": ("empty a file by opening it", "import os\nos.open(SECRET, os.O_RDONLY | os.O_TRUNC)" + _F),
    "symbolic link": ("make a link", "import os\nos.symlink('/', OUTSIDE + '/link')" + _F),
    "hard link": ("make a link", "import os\nos.link(SECRET, OUTSIDE + '/link')" + _F),
    "renamed file": ("rename a file", "import os\nos.rename(SECRET, OUTSIDE + '/moved')" + _F),
    "mode and times": (
        "change what a file is",
        "import os\nfor c in (lambda: os.chmod(SECRET, 0), lambda: os.utime(SECRET)):\n    try: c()\n    except OSError: pass"
        + _F,
    ),
    "fifo": ("make a pipe", "import os\nos.mkfifo(OUTSIDE + '/pipe')" + _F),
    "/proc": ("write to the kernel", "open('/proc/self/oom_score_adj', 'w').write('1000')" + _F),
    "/proc of the parent": ("write to another process", "import os\nopen(f'/proc/{os.getppid()}/mem', 'r+b')" + _F),
    "secret": ("read outside", "def f(x): return {20: 41, 1: [2, 3], 5: 2.5}[x] if open(SECRET).read() else 0"),
    "socket": ("connect to the machine", "import socket\nsocket.create_connection(('127.0.0.1', PORT))" + _F),
    "local socket": (
        "listen",
        "import socket\nsocket.socketpair()\nsocket.socket(socket.AF_UNIX).bind(OUTSIDE + '/s')" + _F,
    ),
    "shared memory": (
        "leave memory behind",
        "from multiprocessing import shared_memory as s\ns.SharedMemory(create=True, size=9)" + _F,
    ),
    "semaphore": ("leave a semaphore behind", "import multiprocessing\nmultiprocessing.Semaphore()" + _F),
    "memfd": (
        "memory beyond the limit",
        "import os\nfor _ in range(60): os.truncate(os.memfd_create('x'), 10 ** 9)" + _F,
    ),
    # The source
    "unclosed text": ("make a text of the tests", "x = '''" + _F),
    "unclosed bracket": ("make an expression of the tests", _F + "x = ("),
    "backslash": ("go on with the first test", _F + "x = 0 if 0 else \\"),
    "backslash behind a condition": ("guard the first test", _F + "if 0: \\"),
    "condition": ("guard the tests", _F + "if 0:"),
    "comment": ("make a comment of a test", _F + "# \\"),
    "form feed": ("guard the tests behind a form feed", _F + "if 0:\f"),
    "carriage return": ("make a comment of the tests", _F + "#\r"),
    "null byte": ("end the source", _F + "\0"),
    "utf-7": ("decode the tests to something else", "# coding: utf-7\n" + _F + "+"),
    "unicode_escape": ("decode the tests to a comment", "# coding: unicode_escape\n" + _F + "x = 1 #\\"),
    "rot13": ("decode the tests to something else", "# coding: rot13\n" + _F),
    "__name__": ("end where it is imported", "import sys\nif __name__ != '__main__': sys.exit(0)"),
    "future": ("change what the tests mean", "from __future__ import barry_as_FLUFL" + _F),
}
