"""The command `soul`: one place where its subcommands meet. Knows nothing of what they do."""

import typer

from soul.cli.animate import animate
from soul.cli.bench import app as bench
from soul.cli.convert import convert
from soul.cli.data import data
from soul.cli.doctor import doctor
from soul.cli.eval import evaluate
from soul.cli.fetch import fetch
from soul.cli.fit import app as fit
from soul.cli.models import models
from soul.cli.serve import serve
from soul.cli.train import train
from soul.cli.tune import tune

app = typer.Typer(
    name="soul",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Your voice, a portrait's face, live.\n\n"
        "[bold]Try it[/bold]: run [cyan]soul serve[/cyan], open the page it prints, choose a face, "
        "press [italic]Start talking[/italic] and speak.\n\n"
        "[bold]Without a browser[/bold]: [cyan]soul animate face.png speech.wav -o out.mp4[/cyan] "
        "makes a film with the same model, in the same way.\n\n"
        "[bold]If something is missing[/bold]: [cyan]soul doctor[/cyan] says what this machine can "
        "run, and why not."
    ),
)
app.command()(serve)
app.command()(animate)
app.command()(doctor)
app.add_typer(bench)
app.command()(data)
app.command()(train)
app.add_typer(fit)
app.command("eval")(evaluate)
app.command()(tune)
app.command()(models)
app.command()(fetch)
app.command()(convert)


def main() -> None:
    """Entry point of the installed command."""
    app()
