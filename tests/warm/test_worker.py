"""Scripts in forks of a worker: they do the same as in a separate Python, and no stale worker answers."""

import importlib.util
import marshal
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from genome import warm
from genome.warm.client import HEAVY, HEAVY_SCRIPTS, LIGHT

PACKAGE = Path(warm.__file__).parents[1]
IS_WARM = "import sys; print('numpy' in sys.modules)\n"


@dataclass(frozen=True)
class Run:
    """A process in the place of Snakemake, with a worker, and the package that both use."""

    process: subprocess.Popen
    prefix: str
    workers: Path
    package: Path
    folder: Path

    def script(self, source: str, name: str = "generation") -> list[str]:
        """Return the command by which Snakemake would run a script."""
        path = self.folder / f"script{len(list(self.folder.glob('script*')))}.{name}.py"
        path.write_text(source)
        return ["bash", "-c", f"{self.prefix}{sys.executable} {path}"]

    def environment(self, **changes: str) -> dict[str, str]:
        return {**os.environ, "GENOME_WORKERS": str(self.workers), "OMP_NUM_THREADS": "1", **changes}

    def run(self, source: str, name: str = "generation", **changes: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.script(source, name), cwd=self.folder, env=self.environment(**changes), capture_output=True, text=True
        )

    def start(self, source: str) -> subprocess.Popen:
        # Where tests run in the background, the shell has them ignore interrupts, and what they start inherits this.
        heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen(self.script(source), cwd=self.folder, env=self.environment(), preexec_fn=heed)


START = """
import os, sys
from genome import warm
from genome.warm.client import HEAVY, HEAVY_SCRIPTS, LIGHT
print(warm.start_workers(["generation", "searched_baseline", "searched_baseline"]), flush=True)
print(os.environ["GENOME_WORKERS"], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def started(tmp_path) -> Iterator[Run]:
    package = tmp_path / "source/genome"
    shutil.copytree(PACKAGE, package)
    folder = tmp_path / "work"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", START],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(package.parent)},
    )
    assert process.stdout is not None
    prefix, workers = process.stdout.readline().rstrip("\n"), Path(process.stdout.readline().strip())
    wait_for(lambda: len([*workers.iterdir()]) == 2)
    yield Run(process, prefix, workers, package, folder)
    process.kill()
    process.communicate()
    # A worker that a test has killed leaves its socket.
    wait_for(lambda: not (workers / LIGHT).exists())
    shutil.rmtree(workers, ignore_errors=True)


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_script_runs_where_the_libraries_are_loaded(started):
    assert started.run(IS_WARM).stdout == "True\n"


@pytest.mark.parametrize(
    "source",
    [
        "import os, sys; print(__name__, os.getcwd(), os.environ['WORD'], sys.argv[0] == __file__)",
        "import sys; print(sys.stdin.read() == '', file=sys.stderr)",
        "import sys; sys.exit('error: a file is missing')",
        "import sys; sys.exit(3)",
        "import sys; sys.exit()",
        "import os; os.write(1, b'at once'); os._exit(4)",
        "import sys; sys.stdout.write('kept until the end')",
        "import atexit\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(); print(pool.submit(sum, [1, 2]).result())",
        "import threading, time\n"
        "threading.Thread(target=lambda: (time.sleep(0.2), print('a thread that is waited for'))).start()",
        "import subprocess; print(subprocess.run(['false']).returncode)",
        "import tempfile; print(tempfile.gettempdir())",
        "import random, sys; sys.exit(random.random() == 0)",
    ],
)
def test_a_script_does_what_it_does_in_a_separate_python(started, source, tmp_path):
    changes = {"WORD": "ä", "TMPDIR": str(tmp_path)}
    ours, own = started.run(source, **changes), started.run(source, GENOME_WORKERS="", **changes)
    name = lambda result: result.stdout.replace("script1", "script0")  # noqa: E731
    assert (ours.returncode, name(ours), ours.stderr) == (own.returncode, name(own), own.stderr)


def test_an_exception_is_shown_with_its_line(started):
    failed = started.run("x = 1\nx / 0\n")
    assert failed.returncode == 1
    assert "line 2" in failed.stderr
    assert failed.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert "Process" not in failed.stderr


def test_scripts_run_side_by_side(started):
    source = (
        "import pathlib, time; pathlib.Path({own!r}).touch()\nwhile not pathlib.Path({other!r}).exists(): time.sleep(0)"
    )
    both = [started.start(source.format(own=own, other=other)) for own, other in (("a", "b"), ("b", "a"))]
    assert [process.wait(60) for process in both] == [0, 0]


def test_forks_draw_different_random_numbers(started):
    source = "import random, secrets, tempfile; print(random.random(), secrets.token_hex(8), tempfile.mktemp())"
    first, second = started.run(source).stdout.split(), started.run(source).stdout.split()
    assert all(a != b for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(("name", "loaded"), [("generation", False), ("baseline", True)])
def test_only_scripts_that_need_them_run_where_large_libraries_are_loaded(started, name, loaded):
    assert started.run("import sys; print('nevergrad' in sys.modules)", name).stdout == f"{loaded}\n"


@pytest.mark.parametrize("name", ["generation", "baseline"])
def test_a_script_runs_by_the_other_worker_or_alone_when_one_is_killed(started, name):
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if process.read_bytes().split(b"\0")[4:5] == [os.fsencode(started.workers / HEAVY)]:
                os.kill(int(process.parent.name), signal.SIGKILL)
    assert started.run(IS_WARM, name).stdout == "True\n"


def test_a_killed_script_is_a_failed_one(started):
    assert started.run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").returncode == 128 + 9


SLEEPS = """
import os, pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
pathlib.Path("ids.new").write_text(f"{os.getpid()} {child.pid}")
os.rename("ids.new", "ids")
try:
    time.sleep(1000)
finally:
    pathlib.Path("cleaned").touch()
"""


def is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("signal_", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_script_ends_with_its_client_and_cleans_up(started, signal_):
    client = started.start(SLEEPS)
    wait_for((started.folder / "ids").exists)
    ids = [int(word) for word in (started.folder / "ids").read_text().split()]
    assert client.pid not in ids
    client.send_signal(signal_)
    client.wait()
    wait_for(lambda: not any(map(is_running, ids)))
    assert (started.folder / "cleaned").exists()
    assert started.run(IS_WARM).stdout == "True\n"


@pytest.mark.parametrize("changed", ["search/rng_of_another_kind.py", "rng.py", "jobs/__init__.py"])
def test_an_old_worker_never_runs_new_source(started, changed):
    path = started.package / changed
    path.write_text((path.read_text() if path.exists() else "") + "\n# changed\n")
    assert started.run(IS_WARM).stdout == "False\n"
    assert started.run(IS_WARM).stdout == "False\n"


def test_a_script_that_runs_while_the_source_changes_is_waited_for(started):
    source = "import pathlib; pathlib.Path('began').touch()\nwhile not pathlib.Path('go').exists(): pass\n"
    client = started.start(source + IS_WARM + "sys.exit(5)")
    wait_for((started.folder / "began").exists)
    (started.package / "rng.py").write_text("")
    assert started.run(IS_WARM).stdout == "False\n"
    (started.folder / "go").touch()
    assert client.wait(60) == 5


def test_scripts_with_more_threads_load_numpy_for_them(started):
    assert started.run(IS_WARM, OMP_NUM_THREADS="2").stdout == "False\n"


def test_scripts_run_without_a_worker(started):
    started.process.kill()
    wait_for(lambda: not started.workers.exists())
    assert started.run(IS_WARM).stdout == "False\n"


def test_only_this_user_reaches_the_workers(started):
    assert started.workers.stat().st_mode & 0o077 == 0


def test_a_client_that_ends_before_it_has_asked_disturbs_no_other(started):
    from socket import AF_UNIX, socket

    for sent in (b"", b"\0", (1000).to_bytes(4, "big") + b"x"):
        with socket(AF_UNIX) as client:
            client.connect(str(started.workers / LIGHT))
            client.send(sent)
    assert started.run(IS_WARM).stdout == "True\n"


def test_a_client_that_is_killed_once_it_has_asked_disturbs_no_other(started):
    from socket import AF_UNIX, SO_PEERCRED, SOL_SOCKET, send_fds, socket

    request = marshal.dumps((str(started.folder / "none.py"), str(started.folder), {}))
    with socket(AF_UNIX) as client, Path(os.devnull).open() as file:
        client.connect(str(started.workers / LIGHT))
        worker = int.from_bytes(client.getsockopt(SOL_SOCKET, SO_PEERCRED, 4), sys.byteorder)
        os.kill(worker, signal.SIGSTOP)
        send_fds(client, [len(request).to_bytes(4, "big")], [file.fileno()] * 3)
        client.sendall(request)
    os.kill(worker, signal.SIGCONT)
    assert started.run(IS_WARM).stdout == "True\n"


def test_a_client_loads_hardly_anything():
    client = Path(warm.__file__).with_name("client.py")
    code = (
        "import os, sys; before = {*sys.modules}; exec(open(sys.argv[1]).read(), {}); print(*{*sys.modules} - before)"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(client)]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert {*loaded.split()} <= {"marshal", "_socket"}


@pytest.mark.parametrize("jobs", [1, 4, 5])
def test_few_jobs_are_not_worth_a_worker(jobs):
    assert warm.is_worth(jobs) == (jobs == 5)


def test_a_worker_can_be_refused(monkeypatch):
    monkeypatch.setenv("GENOME_COLD", "1")
    assert not warm.is_worth(1000)


def test_what_is_loaded_for_rules_are_modules_and_rules():
    rules = "".join(path.read_text() for path in (PACKAGE.parents[1] / "workflow/rules").glob("*.smk"))
    scripts = set()
    for rule, modules in warm.MODULES_OF_RULES.items():
        found = re.search(rf"rule (\w+ as )?{rule}( with)?:", rules)
        assert found
        scripts.add((found[1] or rule).removesuffix(" as "))
        assert all(importlib.util.find_spec(module) for module in modules)
    assert scripts == HEAVY_SCRIPTS  # a rule's script has the rule's name


def test_what_is_loaded_for_every_run_loads_quickly():
    code = f"import importlib, sys\nfor name in {warm.MODULES}: importlib.import_module(name)\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {*loaded} & {"torch", "transformers", "pandas", "scipy", "pydantic", "nevergrad"}
