"""`proguard retrain`: the loop's commands. Thin, as cli.py is."""

from typing import TYPE_CHECKING, Annotated

import typer

from worker import logs

if TYPE_CHECKING:
    from worker.settings import Settings

app = typer.Typer(help="The loop: posts that people reviewed become a better guard.", invoke_without_command=True)

_By = Annotated[str, typer.Option(help="Who says so.")]


def _settings(context: typer.Context) -> "Settings":
    from worker.settings import load

    settings = load(context.obj)
    logs.set_up(settings.telemetry.log_level, settings.telemetry.log_format)
    return settings


@app.callback()
def retrain(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="One round, then end; the default.")] = False,
    schedule: Annotated[
        str | None, typer.Option(metavar="CRON", help="Rounds at these times (UTC) until SIGTERM, as '17 3 * * *'.")
    ] = None,
) -> None:
    """The loop, one round: reviewed posts become a dataset, heads or an adapter, a gate's report, perhaps the champion.

    The same command after a crash goes on where it was. With a schedule no two rounds overlap: one that is due while
    another is under way is skipped, and none is made up for.
    """
    if context.invoked_subcommand is not None:
        if once or schedule is not None:
            given = "--once" if once else "--schedule"
            raise typer.BadParameter(f"{given} and {context.invoked_subcommand} exclude each other")
        return
    if schedule is None:
        settings = _settings(context)
        import worker.commands.retrain as body

        raise typer.Exit(body.once(settings))
    if once:
        raise typer.BadParameter("--once and --schedule exclude each other", param_hint="--schedule")
    from worker.retraining.schedule import Times

    try:
        times = Times(schedule)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--schedule") from None
    settings = _settings(context)
    import worker.commands.retrain as body

    raise typer.Exit(body.on_schedule(settings, context.obj, times))


@app.command()
def history(context: typer.Context) -> None:
    """Every champion, the latest first: JSON lines."""
    settings = _settings(context)
    import worker.commands.retrain as body

    raise typer.Exit(body.history(settings))


@app.command()
def report(context: typer.Context, run: Annotated[str, typer.Argument(help="A run that was judged.")]) -> None:
    """Show the gate's report of a run."""
    settings = _settings(context)
    import worker.commands.retrain as body

    raise typer.Exit(body.report(settings, run))


@app.command()
def rollback(
    context: typer.Context,
    by: _By,
    reason: Annotated[str, typer.Option(help="Why; it stays in the history.")],
    to: Annotated[str | None, typer.Option(help="A run that was champion; default: the one before.")] = None,
) -> None:
    """Go back to an earlier champion; workers that follow swap it in."""
    settings = _settings(context)
    import worker.commands.retrain as body

    raise typer.Exit(body.rollback(settings, by, reason, to))


@app.command()
def sign(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="The run that waits.")],
    by: _By,
    report: Annotated[str, typer.Option(help="Digest of the report that was read, or its first 8 digits.")],
    note: Annotated[str, typer.Option(help="What should be remembered of it.")] = "",
) -> None:
    """Say yes to the report of a gate that leaves it to a person; the next round promotes the run."""
    settings = _settings(context)
    import worker.commands.retrain as body

    raise typer.Exit(body.sign(settings, run, by, note, report))
