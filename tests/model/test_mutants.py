"""Who breaks a script is told so: mutants of all scripts, of which `make chaos` tries all and these tests some."""

from __future__ import annotations

from collections import Counter

from app.state.scripting import names
from tests.model.hunt import hunt_all
from tests.model.mutants import DOOR, SCRIPTS, all_mutants, mutants, text_of
from tests.model.rows import equivalent, sample, survivors, to_be_found_out

UNBREAKABLE = {"cancel"}  # one call


def test_the_dangerous_mutants_are_found_out() -> None:
    tried = sample(to_be_found_out())

    found = hunt_all(tried)

    assert survivors(found) == []
    assert sorted(one.mutant for one in found) == sorted(str(mutant) for mutant in tried)


def test_there_are_mutants_of_every_script() -> None:
    assert {script for script in SCRIPTS if not mutants(script)} <= UNBREAKABLE
    assert {*names(), "prelude"} == {*SCRIPTS, *DOOR}
    assert len(all_mutants()) > 400


def test_no_two_mutants_look_alike() -> None:
    counted = Counter(map(str, all_mutants()))

    assert [mutant for mutant, count in counted.items() if count > 1] == []


def test_the_equivalent_ones_are_still_made() -> None:
    assert set(equivalent()) - set(map(str, all_mutants())) == set()
    assert len(equivalent()) == len(set(equivalent()))


def test_a_mutant_differs_in_one_place() -> None:
    for mutant in all_mutants():
        original = text_of(mutant.script)
        changed = mutant.change(mutant.script, original.encode()).decode()
        before, after = original.splitlines(), changed.splitlines()
        rest = len(before) - mutant.line + 1 - len(mutant.old.splitlines())

        assert before[: mutant.line - 1] == after[: mutant.line - 1]
        assert before[len(before) - rest :] == after[len(after) - rest :]
        assert changed != original
