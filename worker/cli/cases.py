"""`relance case`, `explain`, `approve`, `tasks`, `attempts`: one case at a time."""

from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.show import By, Json, demand_known, open_app, print_done, print_json, print_table

if TYPE_CHECKING:
    from worker.app import App
    from worker.cases import Seen
    from worker.dunning.model import Case
    from worker.operations import Doubt

case = typer.Typer(help="Cases and their histories.", no_args_is_help=True)
tasks = typer.Typer(help="What people are to do: calls, letters, files to hand over.", no_args_is_help=True)
attempts = typer.Typer(help="Single tries at messages.", no_args_is_help=True)
uncertain = typer.Typer(help="Messages that may have gone.", no_args_is_help=True)

CaseId = Annotated[str, typer.Argument(metavar="CASE")]
TaskId = Annotated[str, typer.Argument(metavar="TASK", help="As in `relance tasks list`.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.add_typer(case, name="case")
    app.command()(explain)
    app.command()(approve)
    app.add_typer(tasks, name="tasks")
    attempts.add_typer(uncertain, name="uncertain")
    app.add_typer(attempts, name="attempts")


@case.command("list")
def case_list(
    creditor: Annotated[str | None, typer.Option(help="Of one creditor.")] = None,
    debtor: Annotated[str | None, typer.Option(help="Of one debtor, by upstream's id.")] = None,
    ended: Annotated[bool, typer.Option("--ended", help="Ended ones too.")] = False,
    as_json: Json = False,
) -> None:
    """List the cases, the latest opened first."""
    app = open_app()
    found = [c for c in _cases(app, creditor) if (ended or not c.ended) and debtor in (None, c.debtor.id)]
    if as_json:
        print_json([_summary(c) for c in found])
        return
    rows = [tuple(_summary(c).values()) for c in found]
    print_table(("case", "debtor", "strategy", "owed", "last step", "state"), rows, "There is no such case.")


def _cases(app: "App", creditor: str | None) -> "list[Case]":
    names = _creditors(app, creditor)
    ids = [(name, list(app.cases.case_ids(name))) for name in names]
    stored = {name: app.cases.load_many(name, case_ids) for name, case_ids in ids}
    return [stored[name][case_id].case for name, case_ids in ids for case_id in case_ids if case_id in stored[name]]


def _creditors(app: "App", creditor: str | None) -> list[str]:
    demand_known(creditor, app.config.creditors)
    return [creditor] if creditor else list(app.config.creditors)


def _summary(found: "Case") -> dict[str, str]:
    last = next((run.step for run in reversed(found.runs) if not run.errand), "")
    holds = ", ".join(sorted({hold.reason for hold in found.holds}))
    state = f"ended: {found.ended.reason}" if found.ended else f"held: {holds}" if holds else "open"
    return {
        "case": found.id,
        "debtor": found.debtor.id,
        "strategy": found.strategy,
        "owed": f"{found.owed()} {found.currency}",
        "last_step": last,
        "state": state,
    }


@case.command("show")
def case_show(case_id: CaseId, as_json: Json = False) -> None:
    """Show a case and everything that happened to it. It holds personal data."""
    import json

    from worker.codec import encode_case, encode_event
    from worker.explain import local

    app = open_app()
    found = _see(app, case_id).case
    history = app.cases.history(case_id)
    if as_json:
        print_json({"case": json.loads(encode_case(found)), "history": [json.loads(encode_event(e)) for e in history]})
        return
    print_table(tuple(_summary(found)), [tuple(_summary(found).values())], "")
    rows = []
    for event in history:
        fields = json.loads(encode_event(event))
        kind = fields.pop("type")
        fields.pop("at")
        rows.append((local(found, event.at), kind, ", ".join(f"{k}: {_short(v)}" for k, v in fields.items())))
    print_table(("when", "what", "details"), rows, "")


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


@case.command("release")
def case_release(
    case_id: CaseId,
    by: By,
    reason: Annotated[str | None, typer.Option(help="Only the holds of this reason.")] = None,
    as_json: Json = False,
) -> None:
    """Lift the holds of a case; the rules place again what still holds."""
    from worker import operations

    lifted = operations.release(open_app(), case_id, reason, by)
    print_done(as_json, f"released: {', '.join(lifted)}", case=case_id, released=lifted, by=by)


def explain(case_id: CaseId, as_json: Json = False) -> None:
    """What is next for a case, when, and why not yet."""
    from worker.explain import explain as explanation
    from worker.explain import local

    app = open_app()
    seen = _see(app, case_id)
    found = explanation(app, seen, app.clock.now())
    if as_json:
        print_json(found)
        return
    typer.echo(f"{found.case}: {found.state}, {seen.case.owed()} {seen.case.currency} owed")
    typer.echo(f"  why:  {found.why}")
    if found.next:
        typer.echo(f"  next: {found.next}")
    if found.at:
        typer.echo(f"  when: {local(seen.case, found.at)}, as things stand")
    for line in found.answers:
        typer.echo(f"  answered: {line}")
    for line in found.not_sent:
        typer.echo(f"  not sent: {line}")
    for task in found.tasks:
        typer.echo(f"  to do by a person: {task}")


def approve(
    case_id: CaseId, step: Annotated[str, typer.Argument(metavar="STEP")], by: By, as_json: Json = False
) -> None:
    """Approve a step that waits for a person, such as the formal notice."""
    from worker import operations

    operations.approve(open_app(), case_id, step, by)
    print_done(as_json, f"{step} approved by {by}", case=case_id, step=step, by=by)


@tasks.command("list")
def tasks_list(
    creditor: Annotated[str | None, typer.Option(help="Of one creditor.")] = None, as_json: Json = False
) -> None:
    """List what is to be done, oldest first. It holds personal data."""
    from worker import operations

    app = open_app()
    found = operations.tasks(app, _creditors(app, creditor))
    if as_json:
        print_json(found)
        return
    rows = [(task.id, task.at.date().isoformat(), task.kind, task.title) for task in found]
    print_table(("task", "since", "kind", "what"), rows, "There is nothing to do.")


@tasks.command("show")
def tasks_show(task: TaskId, as_json: Json = False) -> None:
    """Print what is to be done, said or sent. It holds personal data."""
    from worker import operations

    found = operations.task_of(open_app(), task)
    if as_json:
        print_json(found)
        return
    typer.echo(f"{found.title}\n\n{found.text}")


@tasks.command("done")
def tasks_done(task: TaskId, by: By, as_json: Json = False) -> None:
    """Say that a task is done."""
    from worker import operations

    operations.finish_task(open_app(), task, by)
    print_done(as_json, "done", task=task, by=by)


@uncertain.command("list")
def uncertain_list(as_json: Json = False) -> None:
    """List the messages of which nobody knows whether they went."""
    from worker.operations import doubts

    found = doubts(open_app())
    if as_json:
        print_json(found)
        return
    rows = [
        (each.attempt, each.since.isoformat(timespec="seconds"), each.step, each.channel, each.provider, _who(each))
        for each in found
    ]
    print_table(("attempt", "since", "step", "channel", "provider", "asked"), rows, "There is no uncertain message.")


def _who(doubt: "Doubt") -> str:
    return f"the provider, {doubt.asked_at.isoformat(timespec='seconds')}" if doubt.asked_at else "a person"


@uncertain.command("settle")
def uncertain_settle(
    attempt: Annotated[str, typer.Argument(metavar="ATTEMPT")],
    went: Annotated[
        bool, typer.Option("--went/--not-sent", help="What you found out, at the provider's or the debtor's.")
    ],
    by: By,
    as_json: Json = False,
) -> None:
    """Say what became of it. A message that was not sent is sent again; be sure."""
    from worker import operations

    if not operations.settle(open_app(), attempt, went=went, by=by):
        raise operations.NotPossible(f"{attempt!r} is not an uncertain attempt (see `relance attempts uncertain list`)")
    print_done(as_json, "settled", attempt=attempt, went=went, by=by)


def _see(app: "App", case_id: str) -> "Seen":
    from worker.operations import load

    load(app, case_id)
    seen = app.cases.see(case_id)
    assert seen is not None  # noqa: S101  # it was there a moment ago, and cases are never deleted
    return seen
