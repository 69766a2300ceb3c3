"""The guards of a statement or a script, found in its text; and the text without one of them.

The rule: whatever stands where SQL or Lua decide is a guard, with no list to be put on. A term of an `and` is forced
true, a term of an `or` false, one that stands alone both in turn; so all its parameters stay where they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple


class Mutant(NamedTuple):
    guard: str
    """The guard, and what becomes of it, in one line."""
    text: str
    """The whole statement without it."""


class Token(NamedTuple):
    text: str
    start: int
    depth: int
    """How many brackets it stands in."""

    @property
    def end(self) -> int:
        return self.start + len(self.text)


SQL = re.compile(r"--[^\n]*|'(?:[^']|'')*'|\"[^\"]*\"|[$?]\d*|\w+|<>|<=|>=|::|[^\s\w]")
LUA = re.compile(r"--[^\n]*|'(?:[^'\\]|\\.)*'|\w+|\.\.|==|~=|<=|>=|[^\s\w]")
ENDS_CLAUSE = frozenset(
    {"order", "group", "limit", "returning", "for", "union", "on", "join", "left", "cross", "then", "offset", "when",
     "having", "where", "select", "insert", ";"}
)  # fmt: skip
IGNORES = {r"insert or ignore": "insert", r"\bon conflict do nothing\b": ""}
CONSTRAINTS = {r",\s+unique \([\w, ]+\)": "", r" unique\b(?=,)": "", r" on delete cascade\b": ""}
COMPARES = frozenset({"==", "~=", "<", ">", "<=", ">=", "not"})


def mutants_of_sql(text: str) -> list[Mutant]:
    """A statement without each of its guards in turn: conditions, and what it ignores when it collides."""
    tokens = _tokens(SQL, text)
    found = [
        mutant
        for place, token in enumerate(tokens)
        if token.text.lower() in ("where", "on", "when", "having") and _opens_condition(tokens, place)
        for mutant in _without_each(text, _clause(tokens, place + 1), alone=_alone(token))
    ]
    return found + _left_out(text, IGNORES)


def mutants_of_schema(text: str) -> list[Mutant]:
    """A schema without each of its constraints in turn; what its indexes hold decides nothing."""
    return _left_out(text, CONSTRAINTS)


def _left_out(text: str, patterns: Mapping[str, str]) -> list[Mutant]:
    return [
        Mutant(
            f"{_line_of(text, match.start())} :: {match[0].strip(' ,')} -> left out",
            text[: match.start()] + becomes + text[match.end() :],
        )
        for pattern, becomes in patterns.items()
        for match in re.finditer(pattern, text)
    ]


def mutants_of_lua(text: str) -> list[Mutant]:
    """A script without each of its guards in turn: what `if` asks, and what is compared in a value or an answer."""
    tokens = [token for token in _tokens(LUA, text) if not token.text.startswith("--")]
    found: list[Mutant] = []
    for place, token in enumerate(tokens):
        if token.text in ("if", "elseif"):
            until = next(later for later in range(place, len(tokens)) if tokens[later].text == "then")
            found += _without_each(text, tokens[place + 1 : until], alone=("true", "false"))
        elif token.text in ("return", "="):
            for value in _values(text, tokens, place + 1):
                asks = any(COMPARES & {one.text for one in term} for term, _ in _terms(value))
                if asks:
                    whole = token.text == "return"
                    found += [
                        mutant
                        for mutant, term in _each(text, value, alone=("true", "false"))
                        if whole or COMPARES & {one.text for one in term}
                    ]
    return found


def _tokens(pattern: re.Pattern[str], text: str) -> list[Token]:
    tokens, depth = [], 0
    for match in pattern.finditer(text):
        depth -= match[0] in ")]}"
        tokens.append(Token(match[0], match.start(), depth))
        depth += match[0] in "([{"
    return tokens


def _opens_condition(tokens: Sequence[Token], place: int) -> bool:
    """Whether a word does open one: not that of `on conflict`, nor `on delete`."""
    following = tokens[place + 1].text.lower() if place + 1 < len(tokens) else ""
    return following not in ("conflict", "delete")


def _alone(token: Token) -> tuple[str, ...]:
    return ("true", "false") if token.text.lower() == "when" else ("true",)


def _clause(tokens: Sequence[Token], begin: int) -> Sequence[Token]:
    """The condition that begins here."""
    depth, end = tokens[begin].depth, begin
    while end < len(tokens):
        token = tokens[end]
        if token.depth < depth or (token.depth == depth and token.text.lower() in ENDS_CLAUSE):
            break
        end += 1
    return tokens[begin:end]


def _values(text: str, tokens: Sequence[Token], begin: int) -> Iterator[Sequence[Token]]:
    """The values of an assignment or an answer that begin here and end with the line, or where it cannot."""
    if begin >= len(tokens):
        return
    depth, end, first = tokens[begin].depth, begin, begin
    going_on = {"and", "or", "==", "~=", "<", ">", "<=", ">=", "not", ",", "(", "-", "+", ".."}
    while end < len(tokens) and tokens[end].depth >= depth and tokens[end].text not in ("then", "do", "end", "else"):
        new_line = end > begin and "\n" in text[tokens[end - 1].end : tokens[end].start]
        goes_on = tokens[end].text in going_on or tokens[end - 1].text in going_on or tokens[end].depth > depth
        if new_line and not goes_on:
            break
        if tokens[end].text == "," and tokens[end].depth == depth:
            yield tokens[first:end]
            first = end + 1
        end += 1
    yield tokens[first:end]


def _terms(tokens: Sequence[Token]) -> list[tuple[Sequence[Token], str | None]]:
    """The terms of a condition with the word that joins them; None if it is but one."""
    if not tokens:
        return []
    depth = tokens[0].depth
    for word in ("or", "and"):  # `or` binds less than `and`
        places, between = [], False
        for place, token in enumerate(tokens):
            if token.depth == depth:
                lower = token.text.lower()
                if lower == word and not (word == "and" and between):
                    places.append(place)
                between = lower == "between" or (between and lower != "and")
        if places:
            cuts = [-1, *places, len(tokens)]
            return [(tokens[a + 1 : b], word) for a, b in pairwise(cuts)]
    return [(tokens, None)]


def _without_each(text: str, condition: Sequence[Token], *, alone: Iterable[str]) -> list[Mutant]:
    return [mutant for mutant, _ in _each(text, condition, alone=alone)]


def _each(text: str, condition: Sequence[Token], *, alone: Iterable[str]) -> Iterator[tuple[Mutant, Sequence[Token]]]:
    """The text with each term of a condition forced, and the term."""
    for term, word in _terms(condition):
        inner = term if word == "or" and len(_terms(term)) > 1 else _inside(term)
        if inner is not None and len(_terms(inner)) > 1:
            yield from _each(text, inner, alone=alone)
            if word is None:
                continue
        for forced in alone if word is None else ("true" if word == "and" else "false",):
            yield _forced(text, term, forced), term


def _inside(term: Sequence[Token]) -> Sequence[Token] | None:
    """What stands between the brackets around a term; None if there are none, or a query stands there."""
    first, last = term[0], term[-1]
    wrapped = first.text == "(" and last.text == ")" and all(token.depth > first.depth for token in term[1:-1])
    return term[1:-1] if wrapped and len(term) > 2 and term[1].text.lower() != "select" else None


def _forced(text: str, term: Sequence[Token], forced: str) -> Mutant:
    start, end = term[0].start, term[-1].end
    joined = "or true" if forced == "true" else "and false"
    guard = " ".join(text[start:end].split())
    return Mutant(
        f"{_line_of(text, start)} :: {guard} -> {forced}", f"{text[:start]}(({text[start:end]}) {joined}){text[end:]}"
    )


def _line_of(text: str, place: int) -> str:
    """Where it stands, for people: the line, which names it also when other lines move."""
    begin = text.rfind("\n", 0, place) + 1
    end = text.find("\n", place)
    return " ".join(text[begin : end if end >= 0 else len(text)].split())
