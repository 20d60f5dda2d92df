"""A plug-in in a process of its own."""

from __future__ import annotations

import importlib
import os
import sys
from multiprocessing import active_children
from textwrap import dedent

import pytest

from dataverse_client.types import Entity, QueryExpression
from runner.emulator.emulator import Emulator
from runner.emulator.plugin_faults import (
    IsvAborted,
    IsvUnExpected,
    SandboxWorkerNotAvailable,
    SandboxWorkerPluginExecuteTimeout,
)
from runner.execution.step import Step
from runner.plugin import Plugin


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """``plugin("body of execute")`` is a plug-in in a module that a child can import."""

    def make(body):
        name = f"isolated_plugins_{os.getpid()}"
        source = dedent(
            """
            import os
            from runner.plugin import InvalidPluginExecutionException, Plugin
            from dataverse_client.types import Entity

            class Refused(InvalidPluginExecutionException):
                def __init__(self, name, code):
                    super().__init__(f"{name} is refused.", error_code=code)

            class NotFound(Exception):
                def __init__(self, name):
                    super().__init__(f"{name} is not found.")

            class Isolated(Plugin):
                def execute(self, context):
            """
        )
        tmp_path.joinpath(f"{name}.py").write_text(source + "\n".join(f"        {line}" for line in body.split("; ")))
        monkeypatch.syspath_prepend(tmp_path)
        sys.modules.pop(name, None)
        return importlib.import_module(name).Isolated()

    return make


def create(plugin, name="Contoso", **more):
    """Create an account under the plug-in; answer the names of the accounts and what was traced."""
    step = Step(plugin=plugin, message="Create", entity="account", stage=20, isolation="process", **more)
    with Emulator([step]) as crm:
        crm.service().create(Entity("account", None, {"name": name}))
        rows = crm.service().retrieve_multiple(QueryExpression.of("account", "name"))
        return [row["name"] for row in rows], crm.executions[0].lines


def test_what_it_changes_in_target_is_written(plugin):
    changed = plugin("context.target['name'] += '!'; context.trace('{} done', 'well')")
    assert create(changed) == (["Contoso!"], ["well done"])


def test_an_isolated_plugin_runs_in_another_process(plugin):
    _, lines = create(plugin("context.trace(str(os.getpid()))"))
    assert lines != [str(os.getpid())]


@pytest.mark.behaviour(
    "Transactions", "A plug-in in a process of its own takes part in the transaction", "event-framework"
)
def test_its_calls_take_part_in_the_transaction(plugin):
    write = "context.organization.create(Entity('contact', None, {'lastname': 'Nancy'})); context.trace('written'); "
    refuse = "raise InvalidPluginExecutionException('No.')"
    step = Step(plugin=plugin(write + refuse), message="Create", entity="account", stage=20, isolation="process")
    with Emulator([step]) as crm:
        with pytest.raises(IsvAborted, match=r"^No\.$"):
            crm.service().create(Entity("account"))
        assert crm.executions[0].lines == ["written"]
        assert len(crm.service().retrieve_multiple(QueryExpression.of("contact"))) == 0


@pytest.mark.behaviour(
    "Errors", "A plug-in stuck outside Python is killed when its time is up, in a process of its own", "decided"
)
def test_it_is_killed_when_its_time_is_up(plugin):
    with pytest.raises(SandboxWorkerPluginExecuteTimeout, match="within 2 seconds"):
        create(plugin("import threading; threading.Event().wait()"), timeout=2.0)


@pytest.mark.behaviour(
    "Errors",
    "A plug-in whose process crashes answers 0x8004418d, and everything is undone",
    "https://learn.microsoft.com/troubleshoot/power-platform/dataverse/dataverse-plug-ins-errors",
)
@pytest.mark.parametrize(("death", "code"), [("os._exit(3)", 3), ("os.abort()", -6)])
def test_a_crash_of_the_process_is_reported_with_its_exit_code(plugin, death, code):
    with pytest.raises(SandboxWorkerNotAvailable, match=f"process crashed.*exit code {code}") as raised:
        create(plugin(death))
    assert raised.value.code == 0x8004418D


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_its_death_is_told_though_it_left_a_fork(plugin):
    """Which holds its connection open."""
    with pytest.raises(IsvUnExpected, match="ended by itself, exit code 3"):
        create(plugin("os.fork() or __import__('time').sleep(60); os._exit(3)"))


def test_an_interrupt_at_the_terminal_is_not_for_it(plugin):
    """Which reaches the group in the foreground: the parent ends what it started."""
    assert create(plugin("context.trace(str(os.getpgrp() == os.getpid()))"))[1] == ["True"]


def test_a_request_to_end_the_program_is_an_error(plugin):
    with pytest.raises(IsvUnExpected, match=r"It raised SystemExit, which a plug-in must not raise: 3$"):
        create(plugin("raise SystemExit(3)"))


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ("raise NotFound('Contoso')", "raised NotFound: Contoso is not found.$"),
        ("open(os.curdir)", r"raised IsADirectoryError: .*'\.'$"),
        ("b'\\xff'.decode()", "raised UnicodeDecodeError: 'utf-8' codec"),
        ("__import__('json').loads('')", "raised JSONDecodeError: Expecting value"),
        ("error = ValueError('Held.'); error.lock = __import__('threading').Lock(); raise error", "ValueError: Held.$"),
    ],
)
def test_what_it_raises_is_told_in_its_words(plugin, failure, said):
    with pytest.raises(IsvUnExpected, match=said):
        create(plugin(failure))


@pytest.mark.parametrize("held", ["", "refusal.lock = __import__('threading').Lock(); "])
def test_a_refusal_of_a_kind_of_its_own_stays_a_refusal(plugin, held):
    with pytest.raises(IsvAborted, match=r"^Contoso is refused\.$") as raised:
        create(plugin(f"refusal = Refused('Contoso', 7); {held}raise refusal"))
    assert raised.value.sub_error_code == 7


def test_what_cannot_travel_in_a_request_is_told(plugin):
    with pytest.raises(IsvUnExpected, match=r"cannot be sent to another process: .*Use plain values\.$"):
        create(plugin("context.organization.create(Entity('contact', None, {'lastname': lambda: 7}))"))


class Refuse(Plugin):
    def execute(self, context):
        raise ValueError


@pytest.mark.parametrize(
    "end",
    ["", "raise ValueError", "raise SystemExit", "import threading; threading.Event().wait()"],
    ids=["another refuses", "it fails", "it ends", "it hangs"],
)
def test_compensation_runs_in_the_isolated_process(plugin, tmp_path, end):
    done = tmp_path / "undone"
    undo = "context.on_rollback(lambda: open({1!r}, 'a').write('{0} ')); "
    body = undo.format("first", str(done)) + undo.format("second", str(done)) + end
    steps = [
        Step(plugin=plugin(body), message="Create", entity="account", stage=20, isolation="process", timeout=3.0),
        Step(plugin=Refuse(), message="Create", entity="account", stage=40),
    ]
    with Emulator(steps) as crm, pytest.raises(IsvUnExpected):
        crm.service().create(Entity("account"))
    assert done.read_text().split() == ["second", "first"]
    assert not active_children()


def test_compensation_in_the_isolated_process_may_call_crm(plugin):
    undo = "lambda: context.trace(context.organization.create(Entity('contact', None, {'lastname': 'undone'})))"
    step = Step(
        plugin=plugin(f"context.on_rollback({undo}); raise ValueError"),
        message="Create",
        entity="account",
        stage=20,
        isolation="process",
    )
    with Emulator([step]) as crm:
        with pytest.raises(IsvUnExpected):
            crm.service().create(Entity("account"))
        (row,) = crm.service().retrieve_multiple(QueryExpression.of("contact", "lastname"))
        assert row["lastname"] == "undone"
        assert crm.executions[0].lines == [row.id]


def test_it_ends_once_nothing_is_to_be_undone(plugin):
    """Though executions are remembered."""
    step = Step(
        plugin=plugin("context.on_rollback(print)"), message="Create", entity="account", stage=20, isolation="process"
    )
    with Emulator([step]) as crm:
        crm.service().create(Entity("account"))
        (process,) = active_children()
        process.join(30)
        assert process.exitcode == 0


def test_a_plugin_that_cannot_travel_is_named():
    class Local(Plugin):
        def execute(self, context): ...

    with pytest.raises(IsvUnExpected, match=r"Local cannot run in a process of its own"):
        create(Local())


@pytest.mark.parametrize("change", ["context.target['name'] = os.environ", "context.shared_variables['k'] = lambda: 7"])
def test_what_cannot_travel_back_is_told(plugin, change):
    with pytest.raises(IsvUnExpected, match=r"cannot be sent to another process: .*Use plain values\.$"):
        create(plugin(change))


def test_threads_of_an_isolated_plugin_may_trace(plugin):
    threads = "import threading; threads = [threading.Thread(target=context.trace, args=('x',)) for _ in range(20)]; "
    _, lines = create(plugin(threads + "[each.start() for each in threads]; [each.join() for each in threads]"))
    assert lines == ["x"] * 20


def test_a_thread_it_leaves_behind_is_not_waited_for(plugin, monkeypatch):
    monkeypatch.setattr("runner.execution.isolation.EXIT_SECONDS", 0.1)
    names, _ = create(plugin("import threading; threading.Thread(target=threading.Event().wait).start()"))
    assert names == ["Contoso"]


def test_the_log_shows_where_it_failed(plugin):
    step = Step(
        plugin=plugin("raise ValueError('No.')"), message="Create", entity="account", stage=20, isolation="process"
    )
    with Emulator([step]) as crm:
        with pytest.raises(IsvUnExpected):
            crm.service().create(Entity("account"))
        (row,) = crm.service().retrieve_multiple(QueryExpression.of("plugintracelog"))
    assert "isolated_plugins_" in row["exceptiondetails"]
    assert "in execute" in row["exceptiondetails"]
    assert "isolation.py" not in row["exceptiondetails"]
