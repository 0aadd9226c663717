"""The command line. Commands import what they need when they run: ``tsfm --help`` loads neither numpy nor pandas."""

from __future__ import annotations

import sys

import typer

from tsfm_core.cli import audit, config, data, evaluate, metrics, models, plugins, reproduce, run, runs
from tsfm_core.errors import TsfmError
from tsfm_core.plugins import host, refuse_missing_command, snapshot

__all__ = ["app", "main"]

app = typer.Typer(
    name="tsfm",
    help="Train, test and compare time-series foundation models; every model is a package of its own.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for _group, _help in (
    (models.app, "Which models are installed."),
    (data.app, "What is in a source of data."),
    (metrics.app, "How forecasts are scored."),
    (runs.app, "List runs, choose among them, mark, repeat and remove them."),
    (config.app, "What a configuration resolves to."),
    (plugins.app, "Which packages contribute what."),
):
    app.add_typer(_group, help=_help)
runs.app.command()(reproduce.reproduce)
run.add_to(app)
evaluate.add_to(app)
app.command()(audit.audit)


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show where an error came from."),
) -> None:
    _Debug.on = debug


class _Debug:
    on = False


def main() -> None:
    """Run ``tsfm``: exit 0, 1 for an error that one can act on, 2 for wrong usage."""
    restore = snapshot(app)
    host().add_commands(app)
    try:
        refuse_missing_command(sys.argv[1:], app)
        app()
    except TsfmError as error:
        if _Debug.on:
            import traceback

            traceback.print_exception(error)
        print(f"tsfm: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        raise SystemExit(0) from None
    finally:  # a second call in this process starts from our own commands again
        restore()
