"""Where the guards of each store stand, and how one of them is taken out of the code that this process runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from hashlib import sha1
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp
from types import ModuleType
from typing import Any, NamedTuple

from tests.mutants.guards import Mutant, mutants_of_lua, mutants_of_schema, mutants_of_sql

STORES = ("sqlite", "postgresql", "redis")
STATEMENT = re.compile(r"\bsql\.([A-Z_]+)\b")


class Planted(NamedTuple):
    """A mutant, and where it stands: the name of a statement, a schema or a script."""

    store: str
    place: str
    mutant: Mutant

    @property
    def name(self) -> str:
        return f"{self.store} {self.place}: {self.mutant.guard}"

    @property
    def line(self) -> str:
        """The line on which it stands."""
        return self.mutant.guard.partition(" :: ")[0]

    @property
    def guard(self) -> str:
        """The condition, as it stands there."""
        return self.mutant.guard.partition(" :: ")[2].rpartition(" -> ")[0]

    @property
    def sign(self) -> str:
        """The same as long as neither the guard nor its line changes."""
        return f"{self.store} {self.place} {sha1(self.name.encode(), usedforsecurity=False).hexdigest()[:10]}"

    def plant(self) -> None:
        """Let this process run the store without the guard; no file of the work tree changes."""
        if self.place.endswith(".sql"):
            _plant_schema(self.store, self.place, self.mutant.text)
        elif self.store == "redis":
            _plant_script(self.place, self.mutant.text)
        else:
            setattr(_statements(self.store), self.place, self.mutant.text)


def mutants_of(store: str) -> list[Planted]:
    """All mutants of a store, each with a name of its own."""
    texts = _scripts() if store == "redis" else {**_used_statements(store), **_schema(store)}
    seen: dict[str, int] = {}
    found = []
    for place, text in texts.items():
        for guard, mutated in _find(store, place)(text):
            planted = Planted(store, place, Mutant(guard, mutated))
            seen[planted.name] = seen.get(planted.name, 0) + 1
            again = f" ({seen[planted.name]})" if seen[planted.name] > 1 else ""
            found.append(planted._replace(mutant=Mutant(guard + again, mutated)))
    return found


def _find(store: str, place: str) -> Callable[[str], list[Mutant]]:
    if place.endswith(".sql"):
        return mutants_of_schema
    return mutants_of_lua if store == "redis" else mutants_of_sql


def watch(store: str, note: Callable[[str], None]) -> None:
    """Tell which statements and scripts this process uses from now on."""
    if store == "redis":
        server = import_module("tickwork.stores.redis.server")

        class Watched(dict[str, Any]):
            def __getitem__(self, name: str) -> Any:
                note(name)
                return super().__getitem__(name)

        server.SCRIPTS = Watched(server.SCRIPTS)  # type: ignore[attr-defined]
        return

    class WatchedModule(ModuleType):
        def __getattribute__(self, name: str) -> Any:
            note(name)
            return super().__getattribute__(name)

    _statements(store).__class__ = WatchedModule


def _statements(store: str) -> ModuleType:
    return import_module(f"tickwork.stores.{store}.statements")


def _folder(store: str) -> Path:
    package = import_module(f"tickwork.stores.{store}")
    assert package.__file__ is not None
    return Path(package.__file__).parent


def _used_statements(store: str) -> Mapping[str, str]:
    """The statements that the code names: not the fragments that they are made of."""
    names = {name for path in _folder(store).glob("*.py") for name in STATEMENT.findall(path.read_text())}
    texts = {name: getattr(_statements(store), name) for name in sorted(names)}
    several = [text for text in texts.values() if not isinstance(text, str)]  # such as CLEAR, which empties all tables
    assert not any(" where " in statement for text in several for statement in text), "expected guards in texts alone"
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def _schema(store: str) -> Mapping[str, str]:
    return {path.name: path.read_text() for path in sorted(_folder(store).glob("schema*.sql"))}


def _scripts() -> Mapping[str, str]:
    return {path.stem: path.read_text() for path in sorted((_folder("redis") / "lua").glob("*.lua"))}


def _plant_schema(store: str, name: str, text: str) -> None:
    folder = Path(mkdtemp(prefix="tickwork-mutant-"))
    for path in _folder(store).glob("schema*.sql"):
        (folder / path.name).write_text(text if path.name == name else path.read_text())
    import_module(f"tickwork.stores.{store}.schema").FOLDER = folder  # type: ignore[attr-defined]


def _plant_script(name: str, text: str) -> None:
    scripts = import_module("tickwork.stores.redis.scripts")
    texts = {**_scripts(), name: text}
    for one in scripts.SCRIPTS:
        whole = (texts["shared"] + texts[one]).encode()
        scripts.SCRIPTS[one] = scripts.Script(whole, sha1(whole, usedforsecurity=False).hexdigest())
