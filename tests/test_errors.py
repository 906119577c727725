"""Errors: their exit codes, and how values are quoted in a message."""

from __future__ import annotations

import pytest

from polaris_rxrx import errors
from polaris_rxrx.errors import MissingError, PolarisRxrxError, UsageError, short, shortened, some


def test_exit_codes() -> None:
    """2 is misuse, all else 1; every error of ours is caught as one."""
    ours = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, PolarisRxrxError)]
    assert len(ours) >= 5
    assert {kind for kind in ours if kind.exit_code == 2} == {UsageError}
    assert all(kind.exit_code in (1, 2) for kind in ours)


def test_a_missing_thing_names_the_command_that_makes_it() -> None:
    error = MissingError("no task", command=["prepare", "--out", "a b"])
    assert (str(error), error.command) == ("no task", ("prepare", "--out", "a b"))
    assert MissingError("no task").command == ()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("BRAF", "'BRAF'"),
        ("it's", '"it\'s"'),
        (0.5, "0.5"),
        (None, "None"),
        ("x" * 80, f"'{'x' * 80}'"),
        ("x" * 10**6, f"'{'x' * 79}...'"),
    ],
)
def test_short(value: object, shown: str) -> None:
    assert short(value) == shown


def test_a_number_of_so_many_digits_that_python_will_not_write_it() -> None:
    assert short(10**5000) == "a whole number of 16,610 bits"


def test_some() -> None:
    assert some([]) == ""
    assert some(["A", "B"]) == "'A', 'B'"
    assert some(list("ABCDEFG")) == "'A', 'B', 'C', 'D', 'E' and 2 more"
    assert some(range(2000), 1) == "'0' and 1,999 more"


def test_shortened() -> None:
    assert shortened("a\nb") == "a\nb"
    assert shortened(f"head\n{'x' * 9}{'y' * 9}", most=10) == "head\nxxxxx [...] yyyyy"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://me:secret@host/path", "https://host/path"),
        ("https://host/path?token=secret#part", "https://host/path"),
        ("Bearer secret-secret", "Bearer ***"),
        ("access_token=secret&more", "access_token=***&more"),
        ('{"password": "secret"}', '{"password": "***"}'),
        ("a token of thanks", "a token of thanks"),
    ],
)
def test_without_secrets(text: str, told: str) -> None:
    assert errors.without_secrets(text) == told
