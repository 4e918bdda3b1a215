"""Durations in the form people write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readonly_router.durations import LONGEST_DAYS, seconds, written

FORMS = {
    "90s": 90,
    "5m": 300,
    "1h": 3600,
    "2d": 172800,
    "250ms": 0.25,
    "1h30m": 5400,
    "1h 30m": 5400,
    "1.5h": 5400,
    " 5M ": 300,
    "10 s": 10,
    "90": 90,
    "0": 0,
    "0.5": 0.5,
}
NONSENSE = [
    "",
    " ",
    "soon",
    "m",
    "5x",
    "-5s",
    "-5",
    "5m5",
    "5 minutes",
    "1:30",
    "5,5s",
    "1e3",
    "nan",
    "inf",
    "5s;",
]


@pytest.mark.parametrize(("text", "expected"), FORMS.items())
def test_what_people_write_is_understood(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_refused_with_the_accepted_forms(text: str) -> None:
    with pytest.raises(ValueError, match="write 90s, 5m, 1h30m, or a number of seconds"):
        seconds(text)


@pytest.mark.parametrize("number", [0, 5, 0.5])
def test_a_number_is_seconds(number: float) -> None:
    assert seconds(number) == number


@pytest.mark.parametrize("number", [-1, True, float("nan")])
def test_a_number_that_is_no_duration_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(number)


@given(st.floats(min_value=0, max_value=LONGEST_DAYS * 86400.0))
def test_what_is_written_is_understood_to_the_second(duration: float) -> None:
    assert seconds(written(duration)) == round(duration)


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    try:
        found = seconds(text)
    except ValueError:
        return
    assert found >= 0


@pytest.mark.parametrize(("duration", "expected"), [(0, "0s"), (0.4, "0s"), (59.6, "1m"), (3661, "1h1m1s")])
def test_a_duration_is_written_to_the_second(duration: float, expected: str) -> None:
    assert written(duration) == expected
