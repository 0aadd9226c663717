"""Every check of this workspace. ``nox`` runs them all; ``nox -s NAME`` runs one; ``nox -l`` lists them.

Each package is tested in an environment that holds only it and what it depends on.
"""

from __future__ import annotations

from collections.abc import Mapping

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = True

PACKAGES = ("core", "torch", "ttm", "chronos", "eval", "glucose")
SOURCES = [f"packages/tsfm-{name}/src" for name in PACKAGES]

#: What each package's tests install: the package and our packages that it depends on.
NEEDS = {
    "core": ("core",),
    "eval": ("core", "eval"),
    "glucose": ("core", "glucose"),
    "torch": ("core", "torch"),
    "ttm": ("core", "eval", "torch", "ttm"),
    "chronos": ("core", "eval", "torch", "chronos"),
}
#: Each process computes on one core, and what one has compiled of a package the next one reads.
PROCESS = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": ""}
GROUPS = nox.project.load_toml("pyproject.toml")["dependency-groups"]


def paths(names: tuple[str, ...], extras: Mapping[str, str] | None = None) -> list[str]:
    """Return the folders of packages, as pip and uv install them.

    :param extras: an extra of a package, by the package's name.
    """
    marked = {name: f"[{extra}]" for name, extra in (extras or {}).items()}
    return [f"./packages/tsfm-{name}{marked.get(name, '')}" for name in names]


def run_tests(
    session: nox.Session,
    names: tuple[str, ...],
    folder: str,
    extras: Mapping[str, str] | None = None,
    share: str = "worksteal",
    groups: tuple[str, ...] = (),
    measured: bool = True,
    processes: int = 2,
) -> None:
    """Install packages and run one folder of tests under coverage, in two processes; what is asked for by hand, in one.

    :param share: how pytest-xdist shares the tests out: ``loadfile`` where what a file's tests share is slow to make.
    :param groups: of further packages that the tests need.
    :param measured: whether the lines are counted that the tests reach; where whole programs are run it takes half as
        long again.
    :param processes: three where files of unlike length would leave one of two cores idle.
    """
    session.install(*paths(names, extras), *GROUPS["test"], *(one for group in groups for one in GROUPS[group]))
    # files in the order of their names: those of few tests, which would come last, are the longest
    shared = [f"--numprocesses={processes}", f"--dist={share}", "--no-loadscope-reorder"]
    tests = session.posargs or [*shared, folder]
    session.run(*(("coverage", "run", "-m") if measured else ()), "pytest", *tests, env=PROCESS)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and the banned imports."""
    session.install(*GROUPS["lint"])
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of every package, strictly."""
    session.install(*paths(PACKAGES), *GROUPS["types"])
    session.run("mypy", *SOURCES)


@nox.session
def docstrings(session: nox.Session) -> None:
    """Ask that nine of ten public names say what they are."""
    session.install(*GROUPS["docstrings"])
    hidden = ("init-method", "private", "semiprivate", "magic", "nested-functions")
    session.run("interrogate", "--fail-under", "90", *(f"--ignore-{one}" for one in hidden), *SOURCES)


@nox.session(name="tests-core")
def tests_core(session: nox.Session) -> None:
    """Test tsfm-core alone, without torch."""
    run_tests(session, NEEDS["core"], "tests/core", {"core": "plot"})


@nox.session(name="tests-eval")
def tests_eval(session: nox.Session) -> None:
    """Test tsfm-eval, without torch: its scores against second implementations."""
    run_tests(session, NEEDS["eval"], "tests/eval", {"eval": "report"}, groups=("oracles",))


@nox.session(name="tests-report")
def tests_report(session: nox.Session) -> None:
    """Open a report in headless Chromium; without Debian's chromium and chromium-driver these tests skip and say so."""
    run_tests(session, NEEDS["eval"], "tests/report", {"eval": "report"}, groups=("browser",))


@nox.session(name="tests-glucose")
def tests_glucose(session: nox.Session) -> None:
    """Test tsfm-glucose, without torch."""
    run_tests(session, NEEDS["glucose"], "tests/glucose", {"glucose": "simglucose"}, share="loadfile")


@nox.session(name="tests-torch")
def tests_torch(session: nox.Session) -> None:
    """Test the training engine, without any backend."""
    run_tests(session, NEEDS["torch"], "tests/torch", groups=("quantization",))


@nox.session(name="tests-ttm")
def tests_ttm(session: nox.Session) -> None:
    """Test tsfm-ttm."""
    run_tests(session, NEEDS["ttm"], "tests/ttm", groups=("quantization",))


@nox.session(name="tests-tracking", default=False)
def tests_tracking(session: nox.Session) -> None:
    """Test that trackers are told of a run: each is really there, and none calls anybody."""
    run_tests(session, NEEDS["ttm"], "tests/tracking", share="loadfile", groups=("trackers",), measured=False)


@nox.session(name="tests-chronos")
def tests_chronos(session: nox.Session) -> None:
    """Test tsfm-chronos."""
    run_tests(session, NEEDS["chronos"], "tests/chronos", groups=("quantization",))


@nox.session
def integration(session: nox.Session) -> None:
    """Test the packages together: configs, runs, third-party plugins."""
    session.install("uv")  # the tests install plugins of strangers with it
    run_tests(
        session,
        PACKAGES,
        "tests/integration",
        {"core": "plot", "eval": "report"},
        share="loadfile",
        measured=False,
        processes=3,
    )


@nox.session
def docs(session: nox.Session) -> None:
    """Run what README and docs show, and check what they list."""
    run_tests(session, PACKAGES, "tests/docs", {"core": "plot"}, measured=False)


@nox.session
def coverage(session: nox.Session) -> None:
    """Join what the test sessions covered; fail under 80 %."""
    session.install(*GROUPS["test"])
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session(default=False)
def demo(session: nox.Session) -> None:
    """Run the main job on the bundled data: train, test and compare seven models."""
    session.install(*paths(PACKAGES))
    session.run("tsfm", "demo", *session.posargs)


@nox.session(default=False)
def crash(session: nox.Session) -> None:
    """Kill trainings at twenty random moments each, and hold what they end with to the bits of whole ones."""
    session.install(*paths(PACKAGES), *GROUPS["test"])
    moments = PROCESS | {"TSFM_CRASH_MOMENTS": "20"}
    killed = ("tests/integration/test_kill.py", "tests/integration/test_integration_processes.py")
    session.run("pytest", *killed, "-q", *session.posargs, env=moments)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Print the ratios of docs/benchmarks.md, measured side by side on this machine."""
    session.install(*paths(PACKAGES, {"glucose": "simglucose"}), "methcomp", "error-grids")
    for name in session.posargs or (
        "startup",
        "windows",
        "ttm_training",
        "ttm_backtest",
        "head",
        "recipe",
        "chronos_backtest",
        "panel_scale",
        "metrics",
        "intervals",
        "evaluate_scale",
        "registry",
        "population",
    ):
        session.run("python", f"benchmarks/{name}.py")


@nox.session(default=False)
@nox.parametrize("package", list(NEEDS))
def minimums(session: nox.Session, package: str) -> None:
    """Test a package with the lowest versions that its requirements admit."""
    extras = {"core": {"core": "plot"}, "eval": {"eval": "report"}, "glucose": {"glucose": "simglucose"}}.get(package)
    oracles = GROUPS["oracles"] if package == "eval" else ()
    session.install("--resolution", "lowest-direct", *paths(NEEDS[package], extras), *GROUPS["test"], *oracles)
    session.run("pytest", f"tests/{package}")


@nox.session(default=False)
def build(session: nox.Session) -> None:
    """Build every distribution into dist/."""
    session.install("build")
    for name in PACKAGES:
        session.run("python", "-m", "build", "--outdir", "dist", f"packages/tsfm-{name}")
