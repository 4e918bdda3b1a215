"""What decides the mode: scopes over the process, the process over the environment."""

from __future__ import annotations

import asyncio
import threading

import pytest

from readonly_router import (
    ConfigurationError,
    ModeError,
    disable_writes,
    enable_writes,
    get_status,
    is_read_only,
    mode,
    read_only,
    writable,
)
from readonly_router.conf import ProcessMode, process_mode


@pytest.mark.parametrize("value", ["", "0", "false", "no", "off", "OFF", " 0 "])
def test_a_value_that_means_no_follows(value: str) -> None:
    assert process_mode({"DB_READ_ONLY": value}) is ProcessMode.FOLLOW


@pytest.mark.parametrize("value", ["1", "true", "yes", "on", "True", " 1 "])
def test_a_value_that_means_yes_is_read_only(value: str) -> None:
    assert process_mode({"DB_READ_ONLY": value}) is ProcessMode.READ_ONLY


def test_locked_is_a_mode_of_its_own() -> None:
    assert process_mode({"DB_READ_ONLY": "locked"}) is ProcessMode.LOCKED


def test_an_unset_variable_follows() -> None:
    assert process_mode({}) is ProcessMode.FOLLOW


def test_any_other_value_is_an_error_that_lists_the_values() -> None:
    with pytest.raises(ConfigurationError, match=r"DB_READ_ONLY='maybe'.*1, true, yes or on.*locked.*0, false"):
        process_mode({"DB_READ_ONLY": "maybe"})


def test_the_process_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_READ_ONLY", "1")
    mode.set_process(None)
    assert is_read_only()


def test_scopes_nest_and_restore() -> None:
    seen = [is_read_only()]
    with read_only():
        seen.append(is_read_only())
        with writable():
            seen.append(is_read_only())
            with read_only():
                seen.append(is_read_only())
            seen.append(is_read_only())
        seen.append(is_read_only())
    seen.append(is_read_only())
    assert seen == [False, True, False, True, False, True, False]


def test_a_scope_is_restored_after_an_error() -> None:
    with pytest.raises(ValueError, match="inside"), read_only():
        raise ValueError("inside")
    assert not is_read_only()


def test_one_scope_object_may_be_entered_twice() -> None:
    scope = read_only()
    with scope, scope:
        assert is_read_only()
    assert not is_read_only()


def test_scopes_decorate_functions() -> None:
    @read_only()
    def asked(answer: int) -> tuple[bool, int]:
        """Kept."""
        return is_read_only(), answer

    assert asked(7) == (True, 7)
    assert (asked.__name__, asked.__doc__) == ("asked", "Kept.")
    assert not is_read_only()


def test_scopes_decorate_coroutines() -> None:
    @read_only()
    async def asked() -> bool:
        await asyncio.sleep(0)
        return is_read_only()

    async def both() -> tuple[bool, bool]:
        return await asked(), is_read_only()

    assert asyncio.run(both()) == (True, False)


def test_concurrent_tasks_each_have_their_scope() -> None:
    async def asked(scope: type[read_only] | type[writable]) -> bool:
        with scope():
            await asyncio.sleep(0.001)
            return is_read_only()

    async def both() -> list[bool]:
        return await asyncio.gather(asked(read_only), asked(writable), asked(read_only))

    assert asyncio.run(both()) == [True, False, True]


def test_a_generator_is_not_decorated() -> None:
    with pytest.raises(TypeError, match="generator"):

        @read_only()
        def rows() -> object:
            yield 1


def test_an_async_generator_is_not_decorated() -> None:
    with pytest.raises(TypeError, match="generator"):

        @writable()
        async def rows() -> object:
            yield 1


def test_a_scope_does_not_reach_another_thread_and_the_process_mode_does() -> None:
    def in_thread() -> bool:
        answer: list[bool] = []
        thread = threading.Thread(target=lambda: answer.append(is_read_only()))
        thread.start()
        thread.join()
        return answer[0]

    with read_only():
        scoped = in_thread()
    disable_writes()
    assert (scoped, in_thread()) == (False, True)


def test_a_shell_turns_writes_off_and_on() -> None:
    disable_writes()
    seen = [is_read_only()]
    enable_writes()
    assert [*seen, is_read_only()] == [True, False]


def test_enable_writes_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_READ_ONLY", "1")
    mode.set_process(None)
    enable_writes()
    assert not is_read_only()


@pytest.mark.parametrize(
    "verb", [enable_writes, lambda: writable().__enter__()], ids=["enable_writes", "writable"]
)
def test_a_locked_process_never_writes(verb: object) -> None:
    mode.set_process(ProcessMode.LOCKED)
    with pytest.raises(ModeError, match="locked"):
        verb()  # type: ignore[operator]
    assert is_read_only()


def test_disable_writes_leaves_a_locked_process_locked() -> None:
    mode.set_process(ProcessMode.LOCKED)
    disable_writes()
    assert mode.process() is ProcessMode.LOCKED


def test_the_status_names_what_decided() -> None:
    sources = [get_status().source]
    with read_only():
        sources.append(get_status().source)
    with writable():
        sources.append(get_status().source)
    disable_writes()
    sources.append(get_status().source)
    assert sources == ["default", "scope", "scope", "process"]


def test_the_status_of_a_read_only_mode_ends_with_the_next_step() -> None:
    disable_writes()
    assert "writable()" in get_status().reason
    mode.set_process(ProcessMode.LOCKED)
    assert (get_status().locked, "another process" in get_status().reason) == (True, True)


def test_a_writable_status_has_no_reason() -> None:
    enable_writes()
    assert (get_status().read_only, get_status().reason) == (False, "")
