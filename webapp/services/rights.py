"""Who may do what: the one table of all routes and socket events. What is not in it, nobody may do.

A new route needs a line in ROUTES, for each of its methods: its endpoint ("blueprint.function"), the method, the least
`Right` and, where it changes something, what the audit log says of it. A new socket event needs one in EVENTS. HEAD is
judged as GET. A test walks the application's url_map and its socket handlers and fails on one without a line.

Each right includes those before it: an administrator may do everything. OWNER is for what belongs to somebody: the
gate lets editors pass, and the service that has the object asks `Account.may_stop`. Views and services check no role
otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from engine.store.audit import IN, OUT
from webapp.errors import Forbidden
from webapp.services.accounts import Account


class Right(IntEnum):
    """The least that one must be."""

    ANYBODY = 0
    VIEWER = 1
    EDITOR = 2
    OWNER = 3
    ADMIN = 4


ANYBODY, VIEWER, EDITOR, OWNER, ADMIN = Right

ROLES: Mapping[str, Right] = {"viewer": VIEWER, "editor": EDITOR, "admin": ADMIN}


@dataclass(frozen=True, slots=True)
class Rule:
    """The least right; *change*: what the audit log says was done, empty where nothing is changed."""

    least: Right
    change: str = ""


ROUTES: Mapping[tuple[str, str], Rule] = {
    ("static", "GET"): Rule(ANYBODY),
    ("bootstrap.static", "GET"): Rule(ANYBODY),
    ("health.healthz", "GET"): Rule(ANYBODY),
    ("auth.login", "GET"): Rule(ANYBODY),
    ("auth.enter", "POST"): Rule(ANYBODY, IN),
    ("outside.ask", "GET"): Rule(ANYBODY),
    ("outside.come", "GET"): Rule(ANYBODY, IN),
    ("auth.logout", "POST"): Rule(VIEWER, OUT),
    ("auth.setup", "GET"): Rule(ANYBODY),
    ("auth.make_administrator", "POST"): Rule(ANYBODY, "made the first administrator"),
    ("account.index", "GET"): Rule(VIEWER),
    ("account.password", "POST"): Rule(VIEWER, "changed the own password"),
    ("account.end", "POST"): Rule(VIEWER, "ended an own session"),
    ("people.link", "GET"): Rule(ANYBODY),
    ("people.accept", "POST"): Rule(ANYBODY, "used a one-time link"),
    ("people.index", "GET"): Rule(ADMIN),
    ("people.invite", "POST"): Rule(ADMIN, "invited somebody"),
    ("people.reset", "POST"): Rule(ADMIN, "made a link for a new password"),
    ("people.revoke", "POST"): Rule(ADMIN, "took a link back"),
    ("people.set_role", "POST"): Rule(ADMIN, "changed a role"),
    ("people.deactivate", "POST"): Rule(ADMIN, "deactivated an account"),
    ("people.activate", "POST"): Rule(ADMIN, "let an account in again"),
    ("people.log", "GET"): Rule(ADMIN),
    ("sweeps.home", "GET"): Rule(VIEWER),
    ("sweeps.example", "POST"): Rule(EDITOR, "queued the example"),
    ("sweeps.new", "GET"): Rule(EDITOR),
    ("sweeps.create", "POST"): Rule(EDITOR, "queued a sweep"),
    ("sweeps.check", "POST"): Rule(EDITOR),
    ("sweeps.fill", "POST"): Rule(EDITOR),
    ("sweeps.as_text", "POST"): Rule(EDITOR),
    ("sweeps.read_axes", "POST"): Rule(EDITOR),
    ("monitor.live", "GET"): Rule(VIEWER),
    ("monitor.waiting", "GET"): Rule(VIEWER),
    ("monitor.some_trials", "GET"): Rule(VIEWER),
    ("monitor.order", "GET"): Rule(VIEWER),
    ("monitor.trial", "GET"): Rule(VIEWER),
    ("monitor.process_log", "GET"): Rule(VIEWER),
    ("monitor.analyse", "GET"): Rule(VIEWER),
    ("steering.stop", "POST"): Rule(OWNER, "stopped a sweep"),
    ("steering.pause", "POST"): Rule(OWNER, "paused a sweep"),
    ("steering.resume", "POST"): Rule(OWNER, "resumed a sweep"),
    ("steering.finish", "POST"): Rule(OWNER, "finished a sweep early"),
    ("steering.change", "POST"): Rule(OWNER, "changed a sweep's configuration"),
    ("steering.point", "GET"): Rule(OWNER),
    ("steering.enqueue", "POST"): Rule(OWNER, "put points in front"),
    ("steering.retry", "POST"): Rule(OWNER, "had failed trials tried again"),
    ("steering.prioritise", "POST"): Rule(OWNER, "changed a sweep's priority"),
    ("steering.restart_process", "POST"): Rule(OWNER, "replaced a process"),
    ("steering.end_trial", "POST"): Rule(OWNER, "ended a trial"),
    ("change.shown", "GET"): Rule(OWNER),
    ("change.change", "POST"): Rule(OWNER, "changed a sweep's configuration"),
    ("reports.page", "GET"): Rule(VIEWER),
    ("reports.file", "GET"): Rule(VIEWER),
    ("models.download", "GET"): Rule(VIEWER),
    ("models.form", "GET"): Rule(VIEWER),
    ("models.predict", "POST"): Rule(VIEWER),
    ("datasets.index", "GET"): Rule(VIEWER),
    ("datasets.upload", "POST"): Rule(EDITOR, "uploaded a data set"),
    ("datasets.dataset", "GET"): Rule(VIEWER),
    ("datasets.choose", "POST"): Rule(OWNER, "chose a data set's columns"),
    ("datasets.delete", "POST"): Rule(OWNER, "deleted a data set"),
    ("classes.index", "GET"): Rule(EDITOR),
    ("classes.upload", "POST"): Rule(ADMIN, "uploaded a Python file"),
    ("classes.delete", "POST"): Rule(ADMIN, "deleted a Python file"),
    ("history.index", "GET"): Rule(VIEWER),
    ("history.run", "GET"): Rule(VIEWER),
    ("history.fields", "GET"): Rule(VIEWER),
    ("history.values", "GET"): Rule(VIEWER),
    ("history.databases", "GET"): Rule(ADMIN),
    ("history.connect", "POST"): Rule(ADMIN, "added a database"),
    ("history.disconnect", "POST"): Rule(ADMIN, "removed a database"),
    ("history.mark", "POST"): Rule(EDITOR, "tagged or noted runs"),
    ("history.archive", "POST"): Rule(EDITOR, "changed the archive"),
    ("history.delete", "POST"): Rule(EDITOR, "deleted runs"),  # of many, each that is one's own: the service asks
    ("history.deleted", "GET"): Rule(VIEWER),
    ("history.restore", "POST"): Rule(EDITOR, "had deleted runs back"),
    ("history.export_csv", "GET"): Rule(VIEWER),
    ("history.export_json", "GET"): Rule(VIEWER),
    ("history.imports", "GET"): Rule(EDITOR),
    ("history.import_runs", "POST"): Rule(EDITOR, "imported runs of another database"),
    ("history.import_folder", "POST"): Rule(EDITOR, "imported runs of a folder"),
    ("history.cancel_import", "POST"): Rule(OWNER, "cancelled an import of runs"),
    ("history.keep_columns", "POST"): Rule(VIEWER, "chose columns of the history"),
    ("history.save_view", "POST"): Rule(VIEWER, "saved a view of the history"),
    ("history.drop_view", "POST"): Rule(VIEWER, "deleted a view of the history"),
    ("history.compare", "GET"): Rule(VIEWER),
    ("history.compare_metrics", "GET"): Rule(VIEWER),
    ("history.open_board", "POST"): Rule(VIEWER),
    ("history.board", "GET"): Rule(VIEWER),
    ("history.board_state", "GET"): Rule(VIEWER),
    ("history.pass_on", "GET"): Rule(VIEWER),
    ("history.pass_question_on", "POST"): Rule(VIEWER),
    ("history.output", "GET"): Rule(VIEWER),
    ("history.whole_output", "GET"): Rule(VIEWER),
    ("history.metrics", "GET"): Rule(VIEWER),
    ("history.file", "GET"): Rule(VIEWER),
    ("history.content", "GET"): Rule(VIEWER),
    ("history.files", "GET"): Rule(VIEWER),
    ("history.write_notes", "POST"): Rule(EDITOR, "changed the tags or notes of a run"),
    ("tokens.index", "GET"): Rule(VIEWER),
    ("tokens.create", "POST"): Rule(VIEWER, "made a token"),
    ("tokens.revoke", "POST"): Rule(VIEWER, "revoked a token"),
    ("api_pages.page", "GET"): Rule(VIEWER),
    ("api_pages.client", "GET"): Rule(VIEWER),
    ("api.openapi", "GET"): Rule(VIEWER),
    ("api.list_sweeps", "GET"): Rule(VIEWER),
    ("api.create_sweep", "POST"): Rule(EDITOR, "queued a sweep"),
    ("api.get_sweep", "GET"): Rule(VIEWER),
    ("api.stop_sweep", "POST"): Rule(OWNER, "stopped a sweep"),
    ("api.finish_sweep", "POST"): Rule(OWNER, "finished a sweep early"),
    ("api.pause_sweep", "POST"): Rule(OWNER, "paused a sweep"),
    ("api.resume_sweep", "POST"): Rule(OWNER, "resumed a sweep"),
    ("api.change_sweep", "POST"): Rule(OWNER, "changed a sweep's configuration"),
    ("api.add_points", "POST"): Rule(OWNER, "put points in front"),
    ("api.retry_trials", "POST"): Rule(OWNER, "had failed trials tried again"),
    ("api.set_priority", "POST"): Rule(OWNER, "changed a sweep's priority"),
    ("api.restart_process", "POST"): Rule(OWNER, "replaced a process"),
    ("api.list_trials", "GET"): Rule(VIEWER),
    ("api.get_trial", "GET"): Rule(VIEWER),
    ("api.end_trial", "POST"): Rule(OWNER, "ended a trial"),
    ("api.download_model", "GET"): Rule(VIEWER),
    ("api.list_runs", "GET"): Rule(VIEWER),
    ("api.get_run", "GET"): Rule(VIEWER),
    ("api.get_metrics", "GET"): Rule(VIEWER),
    ("api.list_datasets", "GET"): Rule(VIEWER),
    ("api.get_dataset", "GET"): Rule(VIEWER),
    ("api.upload_dataset", "PUT"): Rule(EDITOR, "uploaded a data set"),
    ("api.list_models", "GET"): Rule(EDITOR),
    ("api.list_machines", "GET"): Rule(VIEWER),
}
"""(endpoint, method) → who may."""

EVENTS: Mapping[str, Right] = {
    "connect": VIEWER,
    "disconnect": ANYBODY,
    "join": VIEWER,
    "join_home": VIEWER,
    "join_notices": VIEWER,
    "join_run": VIEWER,
    "join_history": VIEWER,
}
"""Socket event → who may."""

WORDS: Mapping[Right, str] = {
    VIEWER: "log in first",
    EDITOR: "this account may look, not change; ask an administrator for the role editor",
    OWNER: "this account may look, not change; ask the owner or an administrator",
    ADMIN: "only an administrator may do this",
}


def rule(endpoint: str, method: str) -> Rule:
    """The line of a route.

    Raises:
        Forbidden: there is none, so nobody may.
    """
    found = ROUTES.get((endpoint, "GET" if method == "HEAD" else method))
    if found is None:
        raise Forbidden("nobody may do this: the table of rights does not name it")
    return found


def holds(account: Account | None, least: Right) -> bool:
    """Whether an account, or nobody, has at least this right; of OWNER, whether it may own something."""
    held = ANYBODY if account is None else ROLES.get(account.role, ANYBODY)
    return held >= (EDITOR if least is OWNER else least)


def may(account: Account | None, event: str) -> bool:
    """Whether an account, or nobody, may send this socket event; nobody may send one that is not in the table."""
    return event in EVENTS and holds(account, EVENTS[event])


def demand(account: Account, least: Right) -> None:
    """
    Raises:
        Forbidden: the account has not this right.
    """
    if not holds(account, least):
        raise Forbidden(WORDS[least])
