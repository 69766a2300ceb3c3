"""Processes of their own are an executor: whatever a function does to its process, it hurts no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from tests.deeds import PATIENCE, Ledger, StageInFiles
from tests.executors import crimes, lending
from tests.executors.laws import ExecutorLaws, Reports
from tests.living import is_gone
from tests.samples import NOW, held_run, make_job, next_version

from tickwork import BackgroundScheduler, ProcessExecutor, Retry, RunState
from tickwork.clock import SystemClock
from tickwork.errors import InvalidJobError, StoreUnavailableError
from tickwork.executors.base import Executor
from tickwork.executors.call import Call
from tickwork.executors.injection import Surroundings
from tickwork.jobstate import StateChange, StoredState
from tickwork.plan import settle
from tickwork.policies import ONCE
from tickwork.refs import name_function
from tickwork.run import Cancelled, Failed, Lost, Outcome, Progress, Run, Succeeded
from tickwork.stores.memory import MemoryStore

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes need a POSIX system")


def make_call(func: Callable[..., Any] | str, *args: Any, number: int = 0, **kwargs: Any) -> Call:
    ref = func if isinstance(func, str) else name_function(func)
    job = make_job(func=ref, args=args, kwargs=kwargs)
    run = held_run(job, NOW + number * timedelta(seconds=1), lease_until=None)
    return Call(job, run, crimes.pid, SystemClock(), lambda call: None, Surroundings())


def wait_until(what: Callable[[], bool]) -> None:
    """Until it is so, which some other process decides."""
    limit = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < limit
        time.sleep(0.005)


def read_pid(path: Path) -> int:
    wait_until(lambda: path.exists() and path.read_text() != "")
    return int(path.read_text())


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def executor(reports: Reports) -> Iterator[ProcessExecutor]:
    executor = ProcessExecutor(2)
    executor.start(reports)
    yield executor
    executor.stop()


def outcome_of(executor: ProcessExecutor, reports: Reports, call: Call) -> Outcome:
    executor.submit([call])
    reported, outcome = reports.next()
    assert reported is call
    return outcome


class TestProcessExecutor(ExecutorLaws):
    @pytest.fixture
    def executor(self) -> Executor:
        return ProcessExecutor(2)

    @pytest.fixture
    def make_stage(self, tmp_path: Path) -> Callable[[], Any]:
        numbers = count()

        def make_stage() -> StageInFiles:
            folder = tmp_path / f"stage {next(numbers)}"
            folder.mkdir()
            return StageInFiles(str(folder))

        return make_stage


class TestACall:
    def test_is_made_in_another_process_which_is_kept_for_the_next(self, reports: Reports) -> None:
        executor = ProcessExecutor(1)
        executor.start(reports)

        first, second, third = (
            outcome_of(executor, reports, make_call(func)) for func in (crimes.pid, crimes.pid_async, crimes.pid)
        )
        executor.stop()

        assert isinstance(first, Succeeded)
        assert first.result != os.getpid()
        assert first == second == third
        wait_until(lambda: is_gone(first.result))

    def test_receives_its_arguments_and_its_run(self, executor: ProcessExecutor, reports: Reports) -> None:
        call = make_call(crimes.show_context)

        assert outcome_of(executor, reports, make_call(crimes.add, 2, b=3)) == Succeeded(5)
        shown = outcome_of(executor, reports, call)

        run = call.run
        assert shown == Succeeded([run.id, run.key, "job", run.fire_time.isoformat(), 1, False])
        assert call.started_at is not None

    def test_fails_by_what_it_raises_as_anywhere(self, executor: ProcessExecutor, reports: Reports) -> None:
        raised = outcome_of(executor, reports, make_call("tests.deeds:fail", "no luck"))
        left = outcome_of(executor, reports, make_call(crimes.leave_politely, 3))
        misfits = outcome_of(executor, reports, make_call(crimes.add, "2"))

        assert isinstance(raised, Failed)
        assert raised.reason == "RuntimeError: no luck"
        assert "in fail" in (raised.error or "")
        assert raised.raised == ("RuntimeError", "Exception", "BaseException")
        assert isinstance(left, Failed)
        assert left.reason == "SystemExit: 3"
        assert isinstance(misfits, Failed)
        assert "argument 'a' of" in misfits.reason

    def test_leaves_its_log_and_its_progress(self, executor: ProcessExecutor, reports: Reports) -> None:
        call = make_call(crimes.tell)

        assert outcome_of(executor, reports, call) == Succeeded()

        assert call.kept is not None
        log = call.kept.log_so_far()
        assert log is not None
        assert [(line.level, line.logger, line.text) for line in log.lines] == [
            ("INFO", "tests.executors.crimes", "well"), ("WARNING", "app", "ill \\ud800"),
        ]  # fmt: skip
        assert call.progress == Progress(3, 3, "steps")

    def test_is_told_nothing_of_a_run_before_it(self, reports: Reports, tmp_path: Path) -> None:
        executor = ProcessExecutor(1)
        executor.start(reports)
        call = make_call(crimes.hold, str(tmp_path), number=1)
        outcome_of(executor, reports, make_call(crimes.leave_a_thread_behind, str(tmp_path)))

        (tmp_path / "go").touch()  # both go on
        outcome_of(executor, reports, call)
        wait_until((tmp_path / "ended").exists)
        again = make_call(crimes.pid, number=2)

        assert isinstance(outcome_of(executor, reports, again), Succeeded)
        assert call.kept is None
        assert again.kept is None
        executor.stop()

    @pytest.mark.parametrize("func", [crimes.return_what_is_no_json, crimes.return_much])
    def test_returns_what_can_be_kept_or_why_not(
        self, executor: ProcessExecutor, reports: Reports, func: Callable[[], Any]
    ) -> None:
        outcome = outcome_of(executor, reports, make_call(func))

        assert isinstance(outcome, Succeeded)
        assert outcome.result is None
        assert (outcome.reason or "").startswith("result: expected ")

    def test_cannot_have_a_transaction_of_the_store(self, executor: ProcessExecutor, reports: Reports) -> None:
        outcome = outcome_of(executor, reports, make_call(crimes.transact))

        assert isinstance(outcome, Failed)
        assert outcome.reason.startswith("SchedulerError: run.transaction(): expected a run in the")
        assert outcome.reason.endswith("give the job executor='threads'")

    @pytest.mark.parametrize(
        ("ref", "reason"),
        [
            ("__main__:work", "func: expected a function that another process can import, got '__main__:work'"),
            ("<stdin>:work", "func: expected a function that another process can import, got '<stdin>:work'"),
            ("no.such:work", "func: expected a module that can be imported, got 'no.such'"),
            ("tests.deeds:gone", "func: expected a callable under 'tests.deeds:gone', got nothing"),
        ],
    )
    def test_says_what_to_do_when_its_function_cannot_be_imported(
        self, executor: ProcessExecutor, reports: Reports, ref: str, reason: str
    ) -> None:
        outcome = outcome_of(executor, reports, make_call(ref))

        assert isinstance(outcome, Failed)
        assert outcome.reason.startswith(f"FunctionReferenceError: {reason}")

    def test_is_given_its_dependencies_but_no_app(self, executor: ProcessExecutor, reports: Reports) -> None:
        lent = outcome_of(executor, reports, make_call(lending.depend))
        no_app = outcome_of(executor, reports, make_call(lending.depend_on_the_app))

        assert lent == Succeeded("lent")
        assert isinstance(no_app, Failed)
        assert no_app.reason.startswith("DependencyError: ")

    def test_starts_no_scheduler(self, executor: ProcessExecutor, reports: Reports) -> None:
        outcome = outcome_of(executor, reports, make_call(crimes.start_a_scheduler))

        assert isinstance(outcome, Failed)
        assert "start it under `if __name__ == '__main__':`" in outcome.reason

    def test_that_prints_is_heard(self, capfd: pytest.CaptureFixture[str], reports: Reports) -> None:
        executor = ProcessExecutor(1)
        executor.start(reports)

        assert outcome_of(executor, reports, make_call(crimes.say, "hello")) == Succeeded()

        assert capfd.readouterr().out == "hello\n"
        executor.stop()

    def test_is_surrounded_here_and_cannot_be_hurt_by_it(self, executor: ProcessExecutor, reports: Reports) -> None:
        seen: list[Any] = []
        call = make_call(crimes.add, 1)
        call.surroundings = Surroundings()
        call.surroundings.around = (lambda job, run: seen.append(os.getpid()) or seen.append, lambda job, run: 1 / 0)

        assert outcome_of(executor, reports, call) == Succeeded(1)

        assert seen == [os.getpid(), Succeeded(1)]


class TestItsState:
    """Of the job, which the parent reads and saves for it."""

    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore(clock=SystemClock())

    @pytest.fixture
    def make(self, store: MemoryStore) -> Callable[..., Call]:
        """Makes calls of one job's runs, each of which goes on."""
        store.add([job := make_job(max_instances=99)])
        numbers = count()

        def make(func: Callable[..., Any], *args: Any) -> Call:
            ours = job._replace(func=name_function(func), args=args)
            run = held_run(job, NOW + next(numbers) * timedelta(seconds=1), lease_until=NOW + timedelta(days=9999))
            store.save([next_version(store.get("job"), run)])
            return Call(ours, run, func, SystemClock(), lambda call: None, Surroundings(records=store))

        return make

    @pytest.mark.parametrize("func", [crimes.count_up, crimes.count_up_async])
    def test_is_read_when_it_is_used_and_its_change_comes_with_the_outcome(
        self, executor: ProcessExecutor, reports: Reports, store: MemoryStore, make: Callable[..., Call], func: Any
    ) -> None:
        uid = store.get("job").uid
        store.save_state(StateChange(uid, {"seen": 0, "gone": 0}, {"seen": ["한"], "gone": True}))
        call = make(func)

        outcome = outcome_of(executor, reports, call)

        assert outcome == Succeeded({"seen": ["한", 1]})
        assert call.kept is not None
        assert call.kept.change == StateChange(uid, {"seen": 1, "gone": 1}, {"seen": ["한", 1]})
        assert store.state(uid).values == {"seen": ["한"], "gone": True}, "the node writes it with the ending"

    def test_is_saved_at_once_whatever_becomes_of_the_run(
        self, executor: ProcessExecutor, reports: Reports, store: MemoryStore, make: Callable[..., Call]
    ) -> None:
        call = make(crimes.save_and_fail)

        outcome = outcome_of(executor, reports, call)

        assert isinstance(outcome, Failed)
        assert outcome.reason == "OSError: no page 8"
        assert store.state(call.job.uid).values == {"page": 7}
        assert call.kept is None or call.kept.change is None

    @pytest.mark.parametrize("how", ["taken over", "changed by another", "the store is out", "the store has a bug"])
    def test_cannot_be_had_is_raised_where_the_function_is(
        self, executor: ProcessExecutor, reports: Reports, store: MemoryStore, make: Callable[..., Call],
        monkeypatch: pytest.MonkeyPatch, how: str,
    ) -> None:  # fmt: skip
        call = make(crimes.save_and_fail)
        match how:
            case "taken over":
                store.settle([settle(call.run, ONCE, Lost("it was gone"), NOW)])
                expected = f"RunLostError: expected run {call.run.id} to be this node's still"
            case "changed by another":
                save_state = store.save_state

                def save_behind_another(change: StateChange, run: Run | None = None) -> StoredState | None:
                    save_state(StateChange(change.job_uid, {"page": 0}, {"page": 99}))
                    return save_state(change, run)

                monkeypatch.setattr(store, "save_state", save_behind_another)
                expected = "StateConflictError: state: expected to be the only one to change"
            case "the store is out":
                monkeypatch.setattr(store, "state", raiser(StoreUnavailableError("it is down")))
                expected = "StoreUnavailableError: it is down"
            case _:
                monkeypatch.setattr(store, "state", raiser(KeyError("oh")))
                expected = "SchedulerError: 'oh'"

        outcome = outcome_of(executor, reports, call)

        assert isinstance(outcome, Failed)
        assert outcome.reason.startswith(expected)

    def test_is_checked_where_it_is_assigned(
        self, executor: ProcessExecutor, reports: Reports, make: Callable[..., Call]
    ) -> None:
        outcome = outcome_of(executor, reports, make(crimes.keep_what_is_no_json))

        assert isinstance(outcome, Failed)
        assert outcome.reason.startswith("InvalidJobError: state['seen']: expected plain JSON")

    def test_is_not_for_a_thread_that_was_left_behind_which_takes_no_answer_of_the_next_call(
        self, reports: Reports, store: MemoryStore, make: Callable[..., Call], tmp_path: Path
    ) -> None:
        executor = ProcessExecutor(1)
        executor.start(reports)
        go = tmp_path / "go"

        left = outcome_of(executor, reports, make(crimes.keep_on_a_thread_left_behind, str(go)))
        following = outcome_of(executor, reports, make(crimes.wait_beside_a_thread_left_behind, str(go)))
        executor.stop()

        assert (left, following) == (Succeeded(), Succeeded(None))
        assert (
            Path(f"{go}.told").read_text()
            == "RunClosedError: state: expected a run that goes on, got one that has ended"
        )
        assert store.state(store.get("job").uid).values == {}

    def test_may_take_its_time_and_the_call_can_be_ended_meanwhile(
        self, executor: ProcessExecutor, reports: Reports, store: MemoryStore, make: Callable[..., Call],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        asked, go = Event(), Event()

        def state(uid: int) -> StoredState:
            asked.set()
            go.wait(PATIENCE)
            return StoredState()

        monkeypatch.setattr(store, "state", state)
        executor.submit([call := make(crimes.count_up)])
        assert asked.wait(PATIENCE)
        call.asked = Cancelled("enough")
        ended = executor.cancel(call)
        reported, outcome = reports.next()
        go.set()

        assert (ended, reported, outcome) == (True, call, Lost("its process was ended"))


def raiser(error: Exception) -> Callable[..., Any]:
    def throw(*args: Any) -> Any:
        raise error

    return throw


class TestAProcessThatDies:
    @pytest.mark.parametrize(
        ("func", "args", "reason"),
        [
            (crimes.segfault, (), "its process ended with signal 11 (SIGSEGV)"),
            (crimes.leave, (7,), "its process ended with exit code 7"),
            (crimes.leave, (0,), "its process ended with exit code 0"),
        ],
    )
    def test_fails_its_run_and_no_other(
        self, executor: ProcessExecutor, reports: Reports, tmp_path: Path, func: Any, args: Any, reason: str
    ) -> None:
        other = make_call(crimes.hold, str(tmp_path))
        executor.submit([other])
        read_pid(tmp_path / "begun")

        outcome = outcome_of(executor, reports, make_call(func, *args))
        after = outcome_of(executor, reports, make_call(crimes.add, 1))
        (tmp_path / "go").touch()

        assert outcome == Failed(reason)
        assert after == Succeeded(1)
        assert reports.next() == (other, Succeeded("went on"))

    def test_has_its_last_lines_kept(self, executor: ProcessExecutor, reports: Reports) -> None:
        call = make_call(crimes.segfault)

        outcome_of(executor, reports, call)

        assert call.kept is not None
        assert [line.text for line in (call.kept.log_so_far() or pytest.fail("no log")).lines] == ["about to"]

    def test_is_seen_when_the_system_kills_it_at_work_or_at_rest(self, reports: Reports, tmp_path: Path) -> None:
        executor = ProcessExecutor(1)
        executor.start(reports)
        executor.submit([make_call(crimes.spin, str(tmp_path))])
        os.kill(read_pid(tmp_path / "begun"), signal.SIGKILL)
        _, at_work = reports.next()
        resting = outcome_of(executor, reports, make_call(crimes.pid))
        assert isinstance(resting, Succeeded)
        os.kill(resting.result, signal.SIGKILL)

        after = outcome_of(executor, reports, make_call(crimes.add, 1))

        assert at_work == Failed("its process ended with signal 9 (SIGKILL), as the system does when memory runs out")
        assert after == Succeeded(1)
        executor.stop()

    def test_leaves_nothing_open_here(self, reports: Reports) -> None:
        executor = ProcessExecutor(1)
        executor.start(reports)
        opened = []
        for _ in range(4):
            resting = outcome_of(executor, reports, make_call(crimes.pid))
            assert isinstance(resting, Succeeded)
            opened.append(len([*Path("/dev/fd").iterdir()]))
            os.kill(resting.result, signal.SIGKILL)
            wait_until(partial(is_gone, resting.result))

        assert opened[-1] <= opened[0]
        executor.stop()

    def test_is_lost_if_it_was_asked_to_end_from_outside(
        self, executor: ProcessExecutor, reports: Reports, tmp_path: Path
    ) -> None:
        executor.submit([make_call(crimes.spin, str(tmp_path))])

        os.kill(read_pid(tmp_path / "begun"), signal.SIGTERM)

        assert reports.next()[1] == Lost("its process was ended")


class TestACallThatIsCancelled:
    @pytest.mark.parametrize(
        "func",
        [
            crimes.spin,
            crimes.spin_and_clean_up,
            crimes.spin_whatever_is_raised,
            crimes.flood_whatever_is_raised,
            crimes.hold_the_interpreter,
        ],
    )
    def test_ends_whatever_it_does(
        self, executor: ProcessExecutor, reports: Reports, tmp_path: Path, func: Callable[..., Any]
    ) -> None:
        call = make_call(func, str(tmp_path))
        executor.submit([call])
        pid = read_pid(tmp_path / "begun")
        call.asked = Cancelled("by someone")

        asked = executor.cancel(call)
        reported, outcome = reports.next()

        assert asked
        assert reported is call
        assert not isinstance(outcome, Succeeded)
        assert is_gone(pid)
        assert executor.cancel(call) is False
        assert outcome_of(executor, reports, make_call(crimes.add, 1)) == Succeeded(1)
        if func is crimes.spin_and_clean_up:
            assert (tmp_path / "cleaned up").read_text() == "True"

    def test_takes_with_it_what_it_has_started(
        self, executor: ProcessExecutor, reports: Reports, tmp_path: Path
    ) -> None:
        call = make_call(crimes.start_another, str(tmp_path))
        executor.submit([call])
        other = read_pid(tmp_path / "other")
        read_pid(tmp_path / "begun")

        executor.cancel(call)
        reports.next()

        wait_until(lambda: is_gone(other))


class TestTheExecutor:
    def test_has_room_for_as_many_as_have_a_process(
        self, executor: ProcessExecutor, reports: Reports, tmp_path: Path
    ) -> None:
        folders = [tmp_path / str(number) for number in range(2)]
        for folder in folders:
            folder.mkdir()
        room = executor.free()

        executor.submit([make_call(crimes.hold, str(folder)) for folder in folders])
        for folder in folders:
            read_pid(folder / "begun")
        full = executor.free()
        more = make_call(crimes.pid)
        executor.submit([more])
        taken = [*executor.take_back()]
        for folder in folders:
            (folder / "go").touch()
        outcomes = [reports.next()[1] for _ in folders]

        assert (room, full, executor.free()) == (2, 0, 2)
        assert taken == [more]
        assert outcomes == [Succeeded("went on")] * 2
        assert reports.no_more()

    def test_lets_what_has_begun_go_on_after_a_stop(
        self, executor: ProcessExecutor, reports: Reports, tmp_path: Path
    ) -> None:
        call = make_call(crimes.hold, str(tmp_path))
        executor.submit([call])
        pid = read_pid(tmp_path / "begun")

        executor.stop()
        (tmp_path / "go").touch()

        assert reports.next() == (call, Succeeded("went on"))
        wait_until(lambda: is_gone(pid))

    def test_makes_a_thousand_short_calls(self, executor: ProcessExecutor, reports: Reports) -> None:
        calls = [make_call(crimes.add, number, number=number) for number in range(1_000)]

        executor.submit(calls)
        reported = dict(reports.next() for _ in calls)

        assert reported == {call: Succeeded(number) for number, call in enumerate(calls)}

    @pytest.mark.parametrize("workers", [0, -1, 1.5, "4", True, None, 101])
    def test_refuses_an_impossible_number(self, workers: Any) -> None:
        with pytest.raises(
            InvalidJobError, match="ProcessExecutor max_workers: expected a whole number from 1 to 100, got"
        ):
            ProcessExecutor(workers)


class TestWithAScheduler:
    @pytest.fixture
    def scheduler(self) -> Iterator[BackgroundScheduler]:
        scheduler = BackgroundScheduler(executors={"processes": ProcessExecutor(2)})
        yield scheduler
        if scheduler.running:
            scheduler.shutdown(timeout=0)

    def test_a_timeout_ends_an_endless_loop_and_is_tried_again(
        self, scheduler: BackgroundScheduler, tmp_path: Path
    ) -> None:
        ledger = Ledger(scheduler)
        scheduler.start()
        scheduler.add_job(
            crimes.spin, args=[str(tmp_path)], executor="processes", id="spin", timeout=0.3,
            retry=Retry(2, delay=0),
        )  # fmt: skip

        runs = [ledger.next(), ledger.next()]

        assert [(run.state, run.attempt) for run in runs] == [(RunState.TIMED_OUT, 1), (RunState.TIMED_OUT, 2)]
        assert runs[0].reason == "it took longer than its timeout of 0:00:00.300000"
        wait_until(lambda: is_gone(read_pid(tmp_path / "begun")))

    def test_a_run_is_cancelled(self, scheduler: BackgroundScheduler, tmp_path: Path) -> None:
        ledger = Ledger(scheduler)
        scheduler.start()
        scheduler.add_job(crimes.spin, args=[str(tmp_path)], executor="processes", id="spin")
        pid = read_pid(tmp_path / "begun")

        scheduler.cancel_run(scheduler.get_runs("spin")[0].id, reason="enough")

        run = ledger.next()
        assert (run.state, run.reason) == (RunState.CANCELLED, "enough")
        assert is_gone(pid)

    @pytest.mark.parametrize("func", [crimes.spin, crimes.spin_whatever_is_raised])
    def test_a_shutdown_ends_what_goes_on_when_its_time_is_up(
        self, scheduler: BackgroundScheduler, tmp_path: Path, func: Callable[..., Any]
    ) -> None:
        ledger = Ledger(scheduler)
        scheduler.start()
        scheduler.add_job(func, args=[str(tmp_path)], executor="processes", id="spin")
        pid = read_pid(tmp_path / "begun")

        scheduler.shutdown(timeout=0)

        wait_until(lambda: is_gone(pid))
        run = ledger.next()
        assert (run.state, run.reason) == (RunState.LOST, "its process was ended")


@pytest.mark.parametrize("deed", ["spin", "spin_whatever_is_raised", "hold_the_interpreter", "start_another", "add"])
def test_a_parent_that_is_killed_leaves_no_orphan(tmp_path: Path, deed: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"""
import os, pathlib, threading, time
from tests.executors import crimes, lending
from tests.executors.test_processes import make_call
from tickwork import ProcessExecutor

def report(call, outcome):
    pathlib.Path({str(tmp_path / "begun")!r}).write_text(str(outcome.result))

if __name__ == "__main__":
    executor = ProcessExecutor(1)
    executor.start(report)
    executor.submit([make_call(crimes.pid) if {deed!r} == "add" else make_call(crimes.{deed}, {str(tmp_path)!r})])
    while not pathlib.Path({str(tmp_path / "begun")!r}).exists():
        time.sleep(0.005)
    fork = os.fork()  # it lives on for a while, and holds what its parent had open
    if fork == 0:
        time.sleep(20)
        os._exit(0)
    pathlib.Path({str(tmp_path / "fork")!r}).write_text(str(fork))
    threading.Event().wait()
""")
    parent = subprocess.Popen([sys.executable, str(program)], env={**os.environ, "PYTHONPATH": str(Path.cwd())})
    child, fork = read_pid(tmp_path / "begun"), read_pid(tmp_path / "fork")
    assert not is_gone(child)

    parent.kill()
    parent.wait()

    wait_until(lambda: is_gone(child))
    assert not is_gone(fork)
    os.kill(fork, signal.SIGKILL)
    if deed == "start_another":
        wait_until(lambda: is_gone(read_pid(tmp_path / "other")))
