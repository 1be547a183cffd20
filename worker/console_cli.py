"""`proguard console`: the pages, and what keeps their store. Thin, as cli.py is."""

from typing import TYPE_CHECKING, Annotated

import typer

from worker import logs

if TYPE_CHECKING:
    from worker.settings import Settings

app = typer.Typer(
    help="Emerging risks: what is new, what to call it, what to do about it.", invoke_without_command=True
)


def _settings(context: typer.Context) -> "Settings":
    from worker.settings import load

    settings = load(context.obj)
    logs.set_up(settings.telemetry.log_level, settings.telemetry.log_format)
    return settings


@app.callback()
def console(
    context: typer.Context,
    demo_data: Annotated[
        bool, typer.Option("--demo-data", help="Show a month of invented history instead of your store.")
    ] = False,
) -> None:
    """Serve the console's pages until SIGTERM; its address is printed. docs/risks.md says what they show."""
    if context.invoked_subcommand is not None:
        if demo_data:
            raise typer.BadParameter(f"--demo-data and {context.invoked_subcommand} exclude each other")
        return
    settings = _settings(context)
    from worker.console.web import server

    raise typer.Exit(server.run(settings, demo_data))


@app.command()
def mine(context: typer.Context) -> None:
    """Read the outcome topics into the store and keep its clusters, until SIGTERM. One process a store."""
    settings = _settings(context)
    import worker.commands.console as body

    raise typer.Exit(body.mine(settings))


@app.command()
def migrate(context: typer.Context) -> None:
    """Make the store's tables, or bring those of an earlier release up to date."""
    settings = _settings(context)
    import worker.commands.console as body

    raise typer.Exit(body.migrate(settings))
