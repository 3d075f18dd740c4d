"""`genome log`: sends trackers what the results of the working folder have and they do not."""

from collections.abc import Iterable
from pathlib import Path

from genome.api.folder import CONFIG
from genome.config.values import overlay
from genome.errors import GenomeError, one_line
from genome.project import project
from genome.tracking import missing_problems
from genome.tracking.sending import Sender
from genome.workflow.reading import read_plan
from genome.workflow.trackers import runs_in, settings_of, tracked
from genome.yaml_files import read_yaml


def send_results(configfiles: Iterable[Path] = ()) -> dict[str, int]:
    """Send what is new to the trackers of the config; return in how many runs something was, by trackers.

    GenomeError if the config names no tracker, if one is not installed, or if one fails.
    """
    own = [path for path in (Path(CONFIG), *configfiles) if path != Path(CONFIG) or path.is_file()]
    config = read_yaml(project() / CONFIG)
    for path in own:
        config = overlay(config, read_yaml(path))
    plan = read_plan(config, project(), own, check_sources=False)
    settings = settings_of(plan)
    if not settings:
        raise GenomeError("the config names no tracker; give one, such as `log: {mlflow: {}}`")
    if problems := missing_problems(settings):
        raise GenomeError("; ".join(problems))
    runs, sent = tracked(plan, runs_in(Path())), dict[str, int]()
    for name, of_tracker in settings.items():
        sender = Sender(name, of_tracker)
        try:
            sent[name] = sender.send(runs)
            sender.close()
        except GenomeError:
            raise
        except Exception as error:  # of the tracker's library
            raise GenomeError(f"{name}: {one_line(error)}; the same command goes on from here") from error
    return sent
