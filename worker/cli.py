"""`proguard`: the command line. Thin: each command imports its body when it runs, so that `--help` loads nothing heavy.

Exit codes: 0 done, or drained after a signal; 1 failed, 2 wrong usage, 75 two of a kind at once, 78 something must be
configured, 130 Ctrl-C in a command that does not drain.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from worker import console_cli, logs, retrain_cli
from worker.commands import evaluate_options as options
from worker.errors import EXIT_INTERRUPTED, WorkerError

if TYPE_CHECKING:
    from worker.settings import Settings

EXIT_UNEXPECTED = 1


class _Group(TyperGroup):
    """Ends with 130 at Ctrl-C, as shells expect; typer would say 1. Tells where --config stands."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except Exception as error:
            if getattr(error, "option_name", None) == "--config":  # typer's own class for it is private
                _explain_config(error)
            raise


def _explain_config(error: Any) -> None:
    """It is the program's option, not the command's: the user wrote it where everybody would at first."""
    program, _, command = error.ctx.command_path.partition(" ")
    error.message += f"; it stands before the command: {program} --config FILE {command}"


app = typer.Typer(
    cls=_Group,
    name="proguard",
    help="Moderates a stream of posts: Kafka in, reasoned verdicts out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
topics_app = typer.Typer(help="The six topics: make them, look at them.", no_args_is_help=True)
dead_letters_app = typer.Typer(help="Records that were no posts: look at them, send them again.", no_args_is_help=True)
config_app = typer.Typer(help="Settings and policy: what is in force, what is wrong.", no_args_is_help=True)
prompts_app = typer.Typer(help="What guards that read are told.", no_args_is_help=True)
app.add_typer(topics_app, name="topics")
app.add_typer(dead_letters_app, name="dead-letters")
app.add_typer(config_app, name="config")
app.add_typer(prompts_app, name="prompts")
app.add_typer(retrain_cli.app, name="retrain")
app.add_typer(console_cli.app, name="console")

_INPUT = typer.Argument(exists=True, dir_okay=False, readable=True, metavar="FILE.jsonl")


def _settings(context: typer.Context, overrides: dict[str, Any] | None = None) -> "Settings":
    """The settings in force; logging is set up by them."""
    from worker.settings import load

    settings = load(context.obj, overrides)
    logs.set_up(settings.telemetry.log_level, settings.telemetry.log_format)
    return settings


@app.callback()
def _common(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="Settings file (TOML); default: $PROGUARD_CONFIG.", show_default=False)
    ] = None,
) -> None:
    logs.set_up()
    context.obj = config


@app.command()
def demo(
    context: typer.Context,
    bootstrap_servers: Annotated[str | None, typer.Option(help="Your Kafka; default: an embedded broker.")] = None,
    s3_endpoint: Annotated[str | None, typer.Option(help="Your S3; default: an embedded server.")] = None,
    bucket: Annotated[str, typer.Option(help="Bucket for the sample pictures.")] = "pictures",
    keep: Annotated[
        bool | None,
        typer.Option(
            "--keep/--no-keep",
            help="Go on until Ctrl-C, with the console beside it and for posts of your own; by default on a terminal.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Watch sample posts become verdicts; starts all parts that are not given."""
    from worker.local import demo as local

    if context.obj is not None:
        raise typer.BadParameter("the demo makes its own settings; give it PROGUARD_* variables instead of --config")
    goes_on = sys.stdout.isatty() if keep is None else keep
    raise typer.Exit(local.run(bootstrap_servers, s3_endpoint, bucket=bucket, keep=goes_on))


@app.command()
def moderate(context: typer.Context) -> None:
    """Run a worker: read posts, publish verdicts, until SIGTERM."""
    settings = _settings(context)
    from worker.moderation import run

    raise typer.Exit(run.run(settings))


@app.command()
def judge(context: typer.Context, file: Annotated[Path, _INPUT]) -> None:
    """Judge the posts of a file without Kafka: verdicts as JSON lines on stdout, in the order of the posts.

    Pictures are paths relative to the file: "images": [{"path": "cat.jpg"}].
    """
    settings = _settings(context)
    import worker.commands.judge as body

    raise typer.Exit(body.run(settings, file))


@app.command()
def send(
    context: typer.Context,
    file: Annotated[Path, _INPUT],
    bucket: Annotated[
        str | None, typer.Option(help="Takes local pictures; default: the first of objects.buckets.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Send lines that are no posts too.")] = False,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Posts a second; default: as fast as it goes.")] = None,
) -> None:
    """Send the posts of a file to the posts topic, and their local pictures to the bucket."""
    settings = _settings(context)
    import worker.commands.send as body

    raise typer.Exit(body.run(settings, file, bucket=bucket, raw=raw, rate=rate))


@topics_app.command("create")
def topics_create(
    context: typer.Context,
    partitions: Annotated[int | None, typer.Option(min=1, help="Of the posts and outcome topics; default: 12.")] = None,
    replication_factor: Annotated[
        int | None, typer.Option(min=1, help="Default: 3, or the number of brokers where there are fewer.")
    ] = None,
) -> None:
    """Make the topics that are missing; those that exist are left as they are."""
    settings = _settings(context)
    import worker.commands.topics as body

    raise typer.Exit(body.create(settings, partitions, replication_factor))


@topics_app.command("show")
def topics_show(context: typer.Context) -> None:
    """Show the topics and what is wrong with them."""
    settings = _settings(context)
    import worker.commands.topics as body

    raise typer.Exit(body.show(settings))


_Reason = Annotated[list[str] | None, typer.Option("--reason", help="not_json, invalid, ...; may be repeated.")]
_Stage = Annotated[list[str] | None, typer.Option("--stage", help="decode, validate or erase; may be repeated.")]
_Topic = Annotated[str | None, typer.Option(help="Topic that the record came from.")]
_Partition = Annotated[int | None, typer.Option(min=0, help="Partition that the record came from.")]
_Offsets = Annotated[str | None, typer.Option(help="Offsets there: FIRST:LAST, either may be left out.")]
_Since = Annotated[str | None, typer.Option(help="Not before this RFC 3339 time.")]
_Until = Annotated[str | None, typer.Option(help="Before this RFC 3339 time.")]
_Key = Annotated[str | None, typer.Option(help="Record key.")]
_Limit = Annotated[int | None, typer.Option(min=1, help="At most so many.")]


@dead_letters_app.command("inspect")
def dead_letters_inspect(
    context: typer.Context,
    reason: _Reason = None,
    stage: _Stage = None,
    topic: _Topic = None,
    partition: _Partition = None,
    offsets: _Offsets = None,
    since: _Since = None,
    until: _Until = None,
    key: _Key = None,
    limit: _Limit = None,
    show_value: Annotated[bool, typer.Option("--show-value", help="Show the content too, escaped.")] = False,
) -> None:
    """List dead letters: a table on a terminal, JSON lines otherwise."""
    settings = _settings(context)
    import worker.commands.dead_letters as body

    wanted = body.selection(reason, stage, topic, partition, offsets, since, until, key)
    raise typer.Exit(body.show(settings, wanted, limit, show_value))


@dead_letters_app.command("replay")
def dead_letters_replay(
    context: typer.Context,
    reason: _Reason = None,
    stage: _Stage = None,
    topic: _Topic = None,
    partition: _Partition = None,
    offsets: _Offsets = None,
    since: _Since = None,
    until: _Until = None,
    key: _Key = None,
    limit: _Limit = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only, send nothing.")] = False,
) -> None:
    """Send dead letters to the posts topic again: same key, value and headers, marked `proguard.replayed-from`."""
    settings = _settings(context)
    import worker.commands.dead_letters as body

    wanted = body.selection(reason, stage, topic, partition, offsets, since, until, key)
    raise typer.Exit(body.replay(settings, wanted, limit, dry_run))


_Assignments = Annotated[
    list[str] | None, typer.Option("--set", help="SECTION.KEY=VALUE, such as guard.engine=...; may be repeated.")
]
_Policy = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="Judge under this policy instead of policy.path.")
]
_Json = Annotated[bool, typer.Option("--json", help="JSON on a terminal too.")]


@app.command()
def replay(
    context: typer.Context,
    first: Annotated[
        str | None, typer.Option("--from", help="First offset, or RFC 3339 time; default: what is there.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="Up to, and without, this offset or time; default: the end now.")
    ] = None,
    partition: Annotated[list[int] | None, typer.Option(min=0, help="Only this one; may be repeated.")] = None,
    policy: _Policy = None,
    assignments: _Assignments = None,
    topics_suffix: Annotated[str, typer.Option(help="Added to the live topics' names for those written.")] = ".replay",
    create_topics: Annotated[bool, typer.Option("--create-topics", help="Make those that are missing.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Sum up which verdicts would change.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Judge what an earlier run has done as well.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which offsets are meant, judge nothing.")] = False,
    as_json: _Json = False,
) -> None:
    """Judge a range of the posts topic again, under another policy or guard, into topics of its own.

    Workers and their group are not touched. The same command after a crash goes on where it was.
    """
    import worker.commands.replay as body
    from worker.replay.run import Request

    settings = _settings(context, body.overrides(assignments or [], policy))
    request = Request(
        first=body.bound("--from", first),
        until=body.bound("--to", until),
        partitions=tuple(partition or ()),
        suffix=topics_suffix,
        create_topics=create_topics,
        restart=restart,
        compare=compare,
        dry_run=dry_run,
    )
    raise typer.Exit(body.run(settings, request, as_json))


@app.command()
def evaluate(
    context: typer.Context,
    benchmark: options.Benchmarks = None,
    guard: options.Guards = None,
    policy: _Policy = None,
    assignments: _Assignments = None,
    out: options.Out = Path("evaluation"),
    cache: options.Cache = None,
    splits: options.Splits = 3,
    untrained: options.Untrained = None,
    limit: options.Limit = None,
    no_texts: options.NoTexts = False,
    compare: options.Compare = None,
    as_json: _Json = False,
) -> None:
    """Measure guards on benchmarks: is it unsafe, which category, which new risk. A broken-off run can be repeated.

    Sets are listed in docs/evaluation.md; without --benchmark, --compare looks at earlier runs only.
    """
    if not benchmark and compare is None:
        raise typer.BadParameter("name at least one file", param_hint="--benchmark")
    import worker.commands.evaluate as body
    from worker.commands.replay import overrides

    settings = _settings(context, overrides(assignments or [], policy))
    request = body.Request(
        benchmarks=tuple(benchmark or ()),
        guards=tuple(guard or ()),
        out=out,
        cache=cache,
        splits=splits,
        untrained=body.main_categories(untrained),
        limit=limit,
        texts=not no_texts,
        compare=compare,
    )
    raise typer.Exit(body.run(settings, request, as_json))


@config_app.command("show")
def config_show(context: typer.Context) -> None:
    """Print the settings in force as TOML, secrets masked."""
    settings = _settings(context)
    import worker.commands.config as body

    raise typer.Exit(body.show(settings))


@config_app.command("check")
def config_check(
    context: typer.Context,
    online: Annotated[bool, typer.Option("--online", help="Ask the broker and S3 too; changes nothing.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for a broker that does not answer.")] = 10.0,
) -> None:
    """Say everything that is wrong with the settings and the policy, each with its place."""
    from worker.settings import read

    found = read(context.obj)
    logs.set_up(found.settings.telemetry.log_level, found.settings.telemetry.log_format)
    import worker.commands.config_check as body

    raise typer.Exit(body.check(found, online, wait))


@prompts_app.command("import")
def prompts_import(
    checkout: Annotated[Path, typer.Argument(exists=True, file_okay=False, metavar="CHECKOUT")],
    to: Annotated[Path, typer.Option(help="New folder for the templates.")] = Path("prompts-imported"),
    text: Annotated[str | None, typer.Option(metavar="PLACE", help="FILE or FILE:NAME of the text prompt.")] = None,
    text_image: Annotated[str | None, typer.Option(metavar="PLACE", help="The same for text and picture.")] = None,
    image: Annotated[str | None, typer.Option(metavar="PLACE", help="The same for a picture alone.")] = None,
) -> None:
    """Take the prompts that a released checkpoint was trained on from your checkout of the authors' repository."""
    import worker.commands.prompts as body

    raise typer.Exit(body.import_from(checkout, to, text=text, text_image=text_image, image=image))


def main() -> None:
    """Entry point: errors become exit codes and plain lines; tracebacks are for DEBUG."""
    try:
        app(prog_name="proguard")
    except WorkerError as error:
        print(f"proguard: {logs.mask(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception as error:
        logs.unexpected(error)
        sys.exit(EXIT_UNEXPECTED)


if __name__ == "__main__":
    main()
