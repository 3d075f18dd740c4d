"""The inner side of the sandbox: a small process that runs programs one at a time, each in a separate fork.

`genome.tasks.sandbox` runs it as a script and never imports it, so it uses only the standard library and starts in
milliseconds. Arguments: `namespaces` or `plain`, limits of processor time and of wall clock in seconds, memory limit in
MiB, an empty directory. Requests and replies are length-prefixed byte strings on stdin and stdout. A first, empty reply
signals that the walls are in place. There are two kinds of requests:

- `R`, a program's source and the steps of its tests (`asserts`, `run`): the reply is `+` and the steps' answers as data
  if it ran to its end, else `-` and the reason;
- `C`, the checks of a program's tests and its answers (`compare`): the reply is `+` if all are true, else `-` and the
  reason. They are evaluated in a fresh fork, in which no program ever ran. Expected values are sent only after the
  program has ended.

The walls, which a hostile program would all have to break:

- namespaces: a read-only file system with the standard library only; no network; a separate process table, which ends
  with this process;
- resource limits: memory, CPU, size of output, open files, no new processes or threads;
- a system call filter: no processes, signals to others, sockets, shared objects, or writing to the file system;
- an audit hook, which ends a program that tries to change or read the interpreter's frames and objects;
- Landlock: no files other than the standard library;
- the Unix user `nobody` if this process is root, and no capabilities.

If the kernel refuses namespaces, `plain` works without them. Remaining gaps: a program can find the types of ctypes
among the subclasses of object and call foreign functions with them, and can make an import load any bytecode. The
system call filter still applies, and nothing is gained for tests that `compare` judges. A program could forge the
answers that `asserts` leaves to its own process.
"""

# Importing pathlib would take a tenth of the start.
# ruff: noqa: PTH100, PTH103, PTH112, PTH114, PTH115, PTH116, PTH120, PTH123, PTH211

import _frozen_importlib
import _frozen_importlib_external
import array
import bisect
import builtins
import cmath
import collections
import contextlib
import copy
import ctypes
import datetime
import fractions
import functools
import gc
import heapq
import itertools
import json
import math
import operator
import os
import random
import re
import resource
import select
import signal
import string
import struct
import sys
import time
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

# Last on the path, because some modules of this folder have names of standard library modules.
sys.path.append(os.path.dirname(os.path.abspath(__file__)))
from sandbox_values import EXACT, read, write  # pyright: ignore[reportMissingImports]

sys.path.pop()

# Modules that programs often import, loaded once here so that forks need no time for them.
PRELOADED = (array, bisect, cmath, collections, copy, datetime, functools, heapq, itertools, math, operator)
PRELOADED += (fractions, random, re, string, typing)

MIB = 1 << 20
OUTPUT_BYTES = MIB
# The largest result, as JSON.
RESULT_BYTES = 32 * MIB
NOBODY = 65534
# The exit status of a program that the audit hook ended.
TAMPERED = 86
STANDARD_LIBRARY = os.path.dirname(os.__file__)
# The only visible parts of the file system: folders that an import of the standard library may read.
LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/nix/store", os.path.dirname(STANDARD_LIBRARY))
BUILT_INS = dict(vars(builtins))
LINUX = sys.platform == "linux"
LIBC = ctypes.CDLL(None, use_errno=True)
if LINUX:
    capset, prctl = LIBC.capset, LIBC.prctl  # looked up before any fork

# linux/sched.h, linux/mount.h, linux/prctl.h
NEW_MOUNTS, NEW_UTS, NEW_IPC, NEW_USERS, NEW_PIDS, NEW_NETWORK = 1 << 17, 1 << 26, 1 << 27, 1 << 28, 1 << 29, 1 << 30
MS_READ_ONLY, MS_NO_SUID, MS_NO_DEVICES, MS_REMOUNT = 1, 2, 4, 32
MS_BIND, MS_RECURSIVE, MS_PRIVATE = 1 << 12, 1 << 14, 1 << 18
MS_KEPT = 0b1110 | 1 << 10 | 1 << 11  # nosuid, nodev, noexec, noatime, nodiratime
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
SECCOMP_MODE_FILTER = 2
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446  # on every machine
LANDLOCK_ALL, LANDLOCK_READ = (1 << 13) - 1, 0b1101
CAPABILITIES_VERSION_3 = struct.pack("=Ii", 0x20080522, 0)
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

# System calls that a calculation does not need: (number on x86_64, number on aarch64 or None). The runner needs the
# first group, which is refused in the process of each program.
RUNNER_CALLS = {
    "clone": (56, 220), "clone3": (435, 435), "fork": (57, None), "vfork": (58, None), "prlimit64": (302, 261),
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "prctl": (157, 167), "seccomp": (317, 277),
    "setsid": (112, 157), "setpgid": (109, 154), "memfd_create": (319, 279),
}  # fmt: skip
REFUSED_CALLS = {
    # processes, privileges, signals to others
    "execve": (59, 221), "execveat": (322, 281), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "setpriority": (141, 140), "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119), "sched_setattr": (314, 274), "sched_setparam": (142, 118),
    "ioprio_set": (251, 30), "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "move_mount": (429, 429),
    "pivot_root": (155, 41), "chroot": (161, 51), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438), "pidfd_open": (434, 434), "kcmp": (312, 272),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "migrate_pages": (256, 238),
    "move_pages": (279, 239), "personality": (135, 92),
    # sockets, and objects that outlive their process
    "socket": (41, 198), "socketpair": (53, 199), "io_uring_setup": (425, 425), "shmget": (29, 194),
    "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "io_setup": (206, 0), "memfd_secret": (447, 447), "inotify_init": (253, None),
    "inotify_init1": (294, 26), "fanotify_init": (300, 262), "open_by_handle_at": (304, 265),
    # changes to the file system
    "openat2": (437, 437), "creat": (85, None), "truncate": (76, 45), "mkdir": (83, None), "mkdirat": (258, 34),
    "mknod": (133, None), "mknodat": (259, 33), "rmdir": (84, None), "unlink": (87, None), "unlinkat": (263, 35),
    "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276), "link": (86, None), "linkat": (265, 37),
    "symlink": (88, None), "symlinkat": (266, 36), "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53),
    "fchmodat2": (452, 452), "chown": (92, None), "lchown": (94, None), "fchown": (93, 55), "fchownat": (260, 54),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16), "setxattrat": (463, 463), "removexattrat": (466, 466),
    "file_setattr": (469, 469), "flock": (73, 32), "sync": (162, 81), "syncfs": (306, 267),
}  # fmt: skip
# Calls that open files, refused for writing: (numbers as above, index of their flags argument).
OPENING_CALLS = {"open": ((2, None), 1), "openat": ((257, 56), 2)}
# Calls with several commands: (numbers, index of the command argument, allowed commands). Other commands could send
# signals to any process of the user (F_SETOWN, F_SETSIG, F_NOTIFY, FIOSETOWN, SIOCSPGRP), lock or lease files, or type
# into a terminal (TIOCSTI).
LIMITED_CALLS = {
    # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_GETPIPE_SZ, F_GET_SEALS
    "fcntl": ((72, 25), 1, (0, 1, 2, 3, 4, 1030, 1032, 1034)),
    # TCGETS, TCGETS2, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
    "ioctl": ((16, 29), 1, (0x5401, 0x802C542A, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),
}
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH


def _checked(result: int) -> None:
    """Raise OSError for a C library call that returned -1."""
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def syscall_filter(machine: str, refused: Mapping, opening: Mapping, limited: Mapping) -> bytes:
    """Return a BPF program (seccomp(2)) that refuses the calls of the tables with EPERM; empty: unknown machine."""
    if machine not in ARCHITECTURES:
        return b""
    column, audit_architecture = ARCHITECTURES[machine]
    load, jump_equal, jump_at_least, jump_any_bit, give_back = 0x20, 0x15, 0x35, 0x45, 0x06
    kill, refuse, allow = 0x80000000, 0x00050000 | 1, 0x7FFF0000
    write_flags = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

    # An instruction is (code, jump if true, jump if false, operand); jumps count from the next instruction.
    program = [(load, 0, 0, 4), (jump_equal, 1, 0, audit_architecture), (give_back, 0, 0, kill), (load, 0, 0, 0)]
    for numbers, flags in opening.values():
        if numbers[column] is not None:
            program += [(jump_equal, 0, 4, numbers[column]), (load, 0, 0, 16 + 8 * flags)]
            program += [(jump_any_bit, 0, 1, write_flags), (give_back, 0, 0, refuse), (give_back, 0, 0, allow)]
    for numbers, argument, allowed in limited.values():
        count = len(allowed)
        program += [(jump_equal, 0, count + 3, numbers[column]), (load, 0, 0, 16 + 8 * argument)]
        program += [(jump_equal, count - index, 0, value) for index, value in enumerate(allowed)]
        program += [(give_back, 0, 0, refuse), (give_back, 0, 0, allow)]
    # Numbers from 2^30 up are x86_64's x32 calls: the same kernel functions with other numbers.
    tests = [(jump_at_least, 1 << 30)]
    tests += [(jump_equal, numbers[column]) for numbers in refused.values() if numbers[column] is not None]
    for index, (code, operand) in enumerate(tests):
        program.append((code, len(tests) - index, 0, operand))
    program += [(give_back, 0, 0, allow), (give_back, 0, 0, refuse)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def refuse_calls(program: bytes) -> None:
    """Apply a filter of system calls, if there is one, to this process and its forks, permanently."""
    if program:
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        address = ctypes.cast(ctypes.c_char_p(program), ctypes.c_void_p).value
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, struct.pack("@HP", len(program) // 8, address))


def hide_files() -> None:
    """Restrict this process and its forks to opening libraries only (landlock(7)), if the kernel supports it."""
    ruleset = LIBC.syscall(LANDLOCK_CREATE, struct.pack("=Q", LANDLOCK_ALL), 8, 0)
    if ruleset == -1:
        return
    for path in filter(os.path.isdir, LIBRARIES):
        folder = os.open(path, os.O_PATH)
        _checked(LIBC.syscall(LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", LANDLOCK_READ, folder), 0))
        os.close(folder)
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _checked(LIBC.syscall(LANDLOCK_RESTRICT, ruleset, 0))
    os.close(ruleset)


def isolate(directory: str) -> None:
    """Move into new namespaces whose file system, built at `directory`, has only the standard library.

    It returns in a new process, the first of its process table; the old process waits for it and ends with it. OSError
    if the kernel refuses.
    """
    user, group = os.geteuid(), os.getegid()
    flags = NEW_MOUNTS | NEW_UTS | NEW_IPC | NEW_PIDS | NEW_NETWORK
    _checked(LIBC.unshare(flags if user == 0 else flags | NEW_USERS))
    if user != 0:
        maps = {"setgroups": "deny", "uid_map": f"{NOBODY} {user} 1", "gid_map": f"{NOBODY} {group} 1"}
        for name, text in maps.items():
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)

    first = os.fork()
    if first:
        os.close(0)
        os.close(1)
        os.waitpid(first, 0)
        os._exit(0)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    _mount("none", "/", MS_RECURSIVE | MS_PRIVATE)
    _mount("tmpfs", directory, MS_NO_SUID | MS_NO_DEVICES, "tmpfs", "size=1m,mode=0755")
    for source in LIBRARIES:
        target = directory + source
        if os.path.islink(source):
            os.symlink(os.readlink(source), target)
        elif os.path.isdir(source) and not os.path.isdir(target):
            os.makedirs(target)
            _mount(source, target, MS_BIND | MS_RECURSIVE)
            # ST_* of statvfs equal MS_*: flags of the original mount cannot be removed.
            kept = os.statvfs(source).f_flag & MS_KEPT
            _mount("none", target, MS_REMOUNT | MS_BIND | MS_READ_ONLY | kept)
    _mount("none", directory, MS_REMOUNT | MS_BIND | MS_READ_ONLY | MS_NO_SUID | MS_NO_DEVICES)
    os.chdir(directory)
    _checked(LIBC.syscall(SYS_PIVOT_ROOT[os.uname().machine], b".", b"."))
    _checked(LIBC.umount2(b".", MNT_DETACH))
    os.chdir("/")


def _mount(source: str, target: str, flags: int, kind: str = "none", options: str = "") -> None:
    _checked(LIBC.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode()))


def nobody_can_read(path: str) -> bool:
    """Return whether every directory from the root to `path` is accessible to all users."""
    return bool(os.stat(path).st_mode & 0o001) and (path == "/" or nobody_can_read(os.path.dirname(path)))


def confine(cpu_s: float, memory_mb: int, become_nobody: bool, rules: bytes) -> None:
    """Drop, in the process of one program, all rights that a calculation does not need."""
    for kind, limit in (
        (resource.RLIMIT_CPU, int(cpu_s) + 2),
        (resource.RLIMIT_AS, memory_mb * MIB if LINUX else resource.RLIM_INFINITY),  # macOS does not support this limit
        (resource.RLIMIT_FSIZE, OUTPUT_BYTES),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        # RLIM_INFINITY is -1 or a huge number, depending on the system.
        limit = min((value for value in (limit, hard) if value != resource.RLIM_INFINITY), default=hard)
        resource.setrlimit(kind, (limit, limit))
    if become_nobody:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    if LINUX:
        capset(CAPABILITIES_VERSION_3, bytes(24))
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        refuse_calls(rules)


def forget_foreign_calls() -> None:
    """Remove ctypes, which can access any memory: a program could read the proof from the stack with it."""
    for name in ("ctypes", "_ctypes"):
        sys.modules[name] = None  # pyright: ignore[reportArgumentType] # None makes an import fail
    for name in ("ctypes", "LIBC", "capset", "prctl"):
        globals().pop(name, None)


def watch() -> None:
    """End this process if a program tries to change the interpreter's frames, or to read or write its memory."""
    refused = {"sys.settrace", "sys.setprofile", "sys.monitoring.register_callback", "sys.addaudithook"}
    refused |= {"gc.get_objects", "gc.get_referrers", "gc.get_referents"}
    refused |= {"fcntl.fcntl", "fcntl.ioctl", "fcntl.flock", "fcntl.lockf"}
    modules = {"ctypes", "_ctypes", "_ctypes_test", "_testcapi", "_testinternalcapi", "_testlimitedcapi", "_testclinic"}
    modules |= {"_testbuffer", "_testmultiphase", "_testsinglephase", "_xxtestfuzz"}
    modules |= {"_xxsubinterpreters", "_interpreters", "_xxinterpchannels", "_interpchannels"}
    # Bytecode can read any memory. Only imports and generators that become coroutines may create some.
    # pyright: ignore below: private functions of the interpreter, which its stubs leave out.
    compiled = _frozen_importlib_external._compile_bytecode  # pyright: ignore[reportAttributeAccessIssue]
    called = _frozen_importlib._call_with_frames_removed  # pyright: ignore[reportAttributeAccessIssue]
    imports = (compiled, called)
    makers = {
        "marshal.loads": tuple(function.__code__ for function in imports),
        "code.__new__": (types.coroutine.__code__,),
    }

    status = TAMPERED

    # The hook uses only its own variables, because a program could replace any others.
    def hook(event, arguments, *, caller=sys._getframe, parts=str.rpartition, end=os._exit, error=ModuleNotFoundError):
        if event == "import":
            if parts(arguments[0], ".")[2] in modules:
                raise error(f"import of {parts(arguments[0], '.')[2]} halted")
        elif event in refused or event[:7] == "ctypes.":
            end(status)
        elif event in makers:
            for code in makers[event]:  # identical, since equal is not enough
                if caller(1).f_code is code:
                    return
            end(status)

    sys.addaudithook(hook)


def run(request: bytes, reserve: list[bytes]) -> bytes:
    """Execute a program as a separate module, then its tests' steps.

    `request` is JSON, [source, steps as JSON]. Returns `+` and the steps' answers (JSON) if all ran to their end, else
    `-` and the reason.
    """
    source, steps = json.loads(request)
    steps = json.loads(steps)
    dump = json.dumps
    module = types.ModuleType("program")
    sys.modules["program"] = module
    try:
        source.encode()
    except UnicodeEncodeError as error:
        return f"-SyntaxError: {error}".encode()
    watch()
    try:
        # As text, so that a coding declaration has no effect.
        exec(compile(source.removeprefix("\ufeff"), "<program>", "exec", dont_inherit=True), module.__dict__)
        answers = []
        for step in steps:
            if "run" in step:
                exec(compile(step["run"], "<tests>", "exec", dont_inherit=True), module.__dict__)
            else:
                answers.append(answer(step, module.__dict__))
        result = with_room(lambda: dump(answers).encode())
        return b"+" + result if len(result) < RESULT_BYTES else b"-results too large"
    except MemoryError:
        reserve.clear()
        return b"-memory"
    except SystemExit:
        return b"-exited before its end"
    except BaseException as error:
        return reason(error)


def reason(error: BaseException) -> bytes:
    """Return `-` and the message of an exception."""
    name, text = type(error).__name__ or "an exception without a name", str(error)
    return f"-{name}: {text[:200]}".removesuffix(": ").encode(errors="replace")


def with_room(act: Callable, depth: int = 5000, limits: tuple = (sys.getrecursionlimit, sys.setrecursionlimit)) -> Any:
    """Return the result of `act`, with a deeper recursion limit than a program's."""
    limit = limits[0]()
    limits[1](max(limit, depth))
    try:
        return act()
    finally:
        limits[1](limit)


def apart(preludes: list[str]) -> dict:
    """Return names with the built-ins from before any program ran."""
    names = {"__builtins__": BUILT_INS}
    for prelude in preludes:
        exec(prelude, names)
    return names


def answer(step: dict, names: dict) -> dict:
    """Evaluate the operands of one assert with a program's names, and return them as data.

    If the parts of an operand are not plain data, it is evaluated as a whole if the step allows that. If the operands
    are not plain data either, the verdict of the assert is returned.
    """
    for module in step["modules"]:
        eval(module, names)
    found = [[eval(part, names) for part in operand["parts"]] for operand in step["operands"]]
    written = [[with_room(lambda: write(value)) for value in values] for values in found]  # noqa: B023
    answers, kept = [], []

    def whole(operand: dict, values: list) -> object:
        if operand["whole"] is None:
            return values[0]
        parts = {f"__part{i}__": value for i, value in enumerate(values)}
        return eval(operand["whole"], apart(step["preludes"]) | parts)

    for operand, values, parts in zip(step["operands"], found, written, strict=True):
        lost = max(lost for _, lost in parts)
        if operand["whole"] is None or lost == EXACT:
            answers.append({"parts": [tree for tree, _ in parts]})
        else:
            values[:] = [whole(operand, values)]
            operand["whole"] = None
            tree, lost = with_room(lambda: write(values[0]))  # noqa: B023
            answers.append({"whole": tree})
        kept.append(lost)
    if step["verdict"] and all(map(int.__ge__, kept, step["least"])):
        operands = {f"__operand{i}__": whole(*pair) for i, pair in enumerate(zip(step["operands"], found, strict=True))}
        return {"verdict": bool(eval(step["verdict"], apart(step["preludes"]) | operands))}
    return {"operands": answers}


def compare(request: bytes, reserve: list[bytes]) -> bytes:
    """Check whether a program's answers pass all checks; both are JSON, on one line each.

    The answers are not trusted. Returns `+`, or `-` and the reason.
    """
    checks, answers = request.split(b"\n", 1)
    try:
        with_room(lambda: hold(json.loads(checks), json.loads(answers)), 10_000)
    except MemoryError:
        reserve.clear()
        return b"-memory"
    except Exception as error:
        return reason(error)
    return b"+"


def hold(checks: list, answers: list) -> None:
    """Raise AssertionError, or any error that the answers or the checks cause, unless all checks are true."""
    for check, found in zip(checks, answers, strict=True):
        names = apart(check["preludes"])
        if "verdict" in found:
            true = check["verdict"] is not None and found["verdict"] is True
        else:
            for i, (operand, data) in enumerate(zip(check["operands"], found["operands"], strict=True)):
                names[f"__operand{i}__"] = value(operand, data, apart(check["preludes"]))
            true = bool(eval(check["test"], names))
        if not true:
            raise AssertionError(*([eval(check["message"], names)] if check["message"] else []))


def value(operand: dict, data: dict, names: dict) -> object:
    """Return an operand's value, from its own data if the check allows that, else from the data of its parts."""
    if operand["whole"] and "whole" in data:
        return read(data["whole"])
    return eval(operand["template"], names | {f"__part{i}__": read(tree) for i, tree in enumerate(data["parts"])})


def listen(child: int, listening: int, requests: int, cpu_s: float, wall_s: float) -> bytes | None:
    """Return the output of the process `child` until it ends, None if it exceeds its time.

    Processor time is limited, so that a busy machine does not change a verdict; the wall clock ends sleeping programs.
    """
    end = time.monotonic() + wall_s
    processor_clock = ~child << 3 | 2  # clock_getcpuclockid(3)
    output = bytearray()
    # Nothing is sent before our reply, so `requests` becomes readable only when the other side has ended.
    left = cpu_s if LINUX else wall_s
    while left > 0 and len(output) <= 2 * RESULT_BYTES:
        ready = select.select([listening, requests], [], [], max(left, 0.001))[0]
        left = end - time.monotonic()
        if requests in ready:
            return None
        if ready:
            part = os.read(listening, MIB)
            if not part:
                return bytes(output)
            output += part
        elif LINUX:
            left = min(left, cpu_s - time.clock_gettime(processor_clock))
    return None


def judge(
    work: Callable[[bytes, list[bytes]], bytes],
    request: bytes,
    requests: int,
    replies: int,
    limits: tuple,
    wall_s: float,
    everything: bool,
) -> bytes:
    """Return the result of `work` for a request, run in a fork of this process: `+` and more, or `-` and the reason.

    A token drawn for this request proves that the program ran to its end. While the program runs, token and channel are
    only on the evaluation stack of the frame that will write them: not in a variable, a frame's locals or a list of the
    garbage collector. So neither an exit code nor writing to every descriptor can forge the proof.
    """
    listening, channel = os.pipe()
    proof = [os.urandom(16), channel]
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            for descriptor in (listening, requests, replies):
                os.close(descriptor)
            del listening, channel
            output = os.memfd_create("output") if LINUX else os.open(os.devnull, os.O_WRONLY)
            os.dup2(output, 1)
            os.dup2(output, 2)
            random.seed(0)
            confine(*limits)
            forget_foreign_calls()
            os.write(proof.pop(), proof.pop() + work(request, [bytes(4 * MIB)]))
        finally:
            os._exit(0)
    os.close(channel)
    reply = listen(child, listening, requests, limits[0], wall_s)
    os.close(listening)
    # -1 means all processes of the process table; without a separate table it would be all processes of this user.
    for target in (-1,) if everything else (-child, child):
        with contextlib.suppress(ProcessLookupError):
            os.kill(target, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if reply is None:
        return b"-timeout"
    if reply.startswith(proof[0]):
        return reply[16:]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) != signal.SIGKILL:
        return f"-ended by {signal.Signals(os.WTERMSIG(status)).name}".encode()
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == TAMPERED:
        return b"-tampered with the interpreter"
    return b"-exited before its end"


def main() -> None:
    """Serve requests until the other side ends."""
    mode, cpu_s, wall_s, memory_mb, directory = sys.argv[1:]
    os.chdir(directory)
    isolated = mode == "namespaces"
    null = os.open(os.devnull, os.O_RDWR)
    if isolated:
        isolate(directory)
    requests, replies = os.dup(0), os.dup(1)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    os.close(null)
    become_nobody = os.geteuid() == 0 and (isolated or nobody_can_read(STANDARD_LIBRARY))
    machine = os.uname().machine if LINUX else ""
    if LINUX:
        hide_files()
    limits = (float(cpu_s), int(memory_mb), become_nobody, syscall_filter(machine, RUNNER_CALLS, {}, {}))
    os.environ.clear()
    sys.argv.clear()
    refuse_calls(syscall_filter(machine, REFUSED_CALLS, OPENING_CALLS, LIMITED_CALLS))
    gc.freeze()
    rest = (requests, replies, limits, float(wall_s), isolated)
    verdict = judge(run, json.dumps(["import colorsys", "[]"]).encode(), *rest)
    if not verdict.startswith(b"+"):
        sys.exit(f"a harmless program failed: {verdict.decode()}")
    os.write(replies, struct.pack("=I", 0))
    with open(requests, "rb") as inbox:
        while size := inbox.read(4):
            kind = inbox.read(1)
            reply = judge(run if kind == b"R" else compare, inbox.read(*struct.unpack("=I", size)), *rest)
            os.write(replies, struct.pack("=I", len(reply)) + reply)


if __name__ == "__main__":
    main()
