"""How long jobs take side by side that share an engine."""


def side_by_side(jobs: int, engine: float, own: float, cores: int) -> float:
    """Return the time of `jobs` that need an engine for `engine` seconds and work `own` seconds themselves, in total.

    `cores` jobs run at a time, all of the same kind, and the engine answers one after another: mean value analysis of
    a closed network with one queue (Reiser and Lavenberg 1980, doi:10.1145/322186.322195). With one job at a time,
    this is the sum; with many, it comes close to `engine`, or to `own / cores` if that is longer.

    >>> [round(side_by_side(10, 60, 30, cores)) for cores in (1, 2, 8)]
    [90, 65, 60]
    """
    if not jobs:
        return 0
    service, waiting, rate = engine / jobs, 0.0, 0.0
    for running in range(1, min(cores, jobs) + 1):
        response = service * (1 + waiting)
        rate = running / (response + own / jobs) if response + own else 0
        waiting = rate * response
    return jobs / rate if rate else 0
