"""What a value may be: checks of what users hand over, with errors in one grammar."""

from __future__ import annotations

from datetime import timedelta

from tickwork.errors import InvalidJobError

LONGEST = timedelta(days=10_000)
"""No policy is longer, so that no instant reckoned with it leaves the calendar."""


def check_text(name: str, text: object, *, most: int) -> None:
    """InvalidJobError unless *text* is 1 to *most* printable characters."""
    if not isinstance(text, str) or not 0 < len(text) <= most or not text.isprintable():
        raise InvalidJobError(f"{name}: expected 1 to {most} printable characters, got {shown(text)}")


def check_flag(name: str, flag: object) -> None:
    """InvalidJobError unless *flag* is True or False."""
    if not isinstance(flag, bool):
        raise InvalidJobError(f"{name}: expected True or False, got {shown(flag)}")


def check_whole(name: str, number: object, *, least: int = 1, most: int) -> None:
    """InvalidJobError unless *number* is a whole number from *least* to *most*."""
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
        raise InvalidJobError(f"{name}: expected a whole number from {least} to {most}, got {shown(number)}")


def check_fraction(name: str, number: object, *, least: float, most: float) -> None:
    """InvalidJobError unless *number* is a number from *least* to *most*."""
    if not isinstance(number, int | float) or isinstance(number, bool) or not least <= number <= most:
        raise InvalidJobError(f"{name}: expected a number from {least} to {most}, got {shown(number)}")


def check_duration(name: str, duration: object, *, least: timedelta, most: timedelta = LONGEST) -> None:
    """InvalidJobError unless *duration* is a timedelta from *least* to *most*."""
    if not isinstance(duration, timedelta) or not least <= duration <= most:
        raise InvalidJobError(f"{name}: expected a timedelta from {least} to {most}, got {shown(duration)}")


def shown(value: object, *, most: int = 80) -> str:
    """The value as an error shows it: whole if it has at most so many characters. Never raises."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001  it may be anybody's code; and Python writes no numbers of 5,000 digits
        return f"a value of type {type(value).__name__}, which cannot be shown: {type(error).__name__}"
    return text if len(text) <= most else f"{text[: most - 3]}..."
