"""steerlab sandbox: attack the sandbox on this machine."""

from __future__ import annotations

import typer

from steerlab import console
from steerlab.commands.options import AsJson

sandbox_app = typer.Typer(no_args_is_help=True, help="The sandbox that runs untrusted code.")


@sandbox_app.command("check")
def sandbox_check(as_json: AsJson = False) -> None:
    """Attack the sandbox on this machine (about a minute) and say what each attack did; exit 1 unless all were held."""
    from steerlab.sandbox import sandbox_check as check

    facts = check()
    if as_json:
        console.print_json(facts)
    else:
        attacks = {name: f"{'held' if a['held'] else 'NOT HELD'}: {a['what']}" for name, a in facts["attacks"].items()}
        console.print_facts("sandbox", {k: v for k, v in facts.items() if k != "attacks"} | attacks)
    if not facts["held"]:
        raise typer.Exit(1)
