"""The table of what the papers claim, from made-up analyses."""

from __future__ import annotations

from typing import Any

import pytest
from support.claims import BEST, CLAIMS, MARGIN, Claim, number_at, table
from support.comparison_tables import NOTHING


def analysis(claim: Claim, ours: list[float], theirs: list[float]) -> dict[str, Any]:
    """Of the long schedule, with the two numbers of a claim alone."""
    content: dict[str, Any] = {"seeds": {}, "results": {}}
    for (row, path), values in ((claim.ours, ours), (claim.theirs, theirs)):
        name = row.format("_long")
        content["seeds"][name] = list(range(len(values)))
        runs = content["results"].setdefault(name, [{} for _ in values])
        for run, value in zip(runs, values):
            *above, last = path.split("/")
            for key in above:
                run = run.setdefault(key, {})
            run[last] = value
    return content


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_shows_by_sign_and_significance(claim: Claim) -> None:
    sign = 1 if claim.sign == ">" else -1

    def verdict(difference: float, spread: float) -> str:
        noise = [0.0, spread, -0.9 * spread]
        content = analysis(claim, [40 + sign * difference + n for n in noise], [40.0] * 3)
        line = table(content).splitlines()[2 + CLAIMS.index(claim)]
        _, paper, text, usual, long, _ = map(str.strip, line.split("|"))
        assert (paper, text, usual) == (claim.paper, claim.text, "")
        return long

    assert verdict(10, 0.1).startswith(
        f"**shown**: {40 + sign * 10} / 40, {sign * 10:+}.0 ± 0.1 (p"
    )
    assert verdict(10, 0.1).endswith(", 3 seeds")
    assert verdict(-10, 0.1).startswith("**the opposite**: ")
    assert verdict(-10, 40).startswith("not shown: ")
    assert verdict(10, 40).startswith("not shown: ")


def test_what_the_paper_does_not_state_is_called_our_yardstick() -> None:
    ours = {claim.theirs for claim in CLAIMS if claim.paper == "TagCLIP (our yardstick)"}
    assert ours == {("tagclip{}", MARGIN), ("tagclip{}", BEST)}


def test_claims_wait_for_an_analysis() -> None:
    assert table({}) == table({"results": {"a_config": [{}]}}) == NOTHING


def test_a_number_that_is_not_there_is_left_out() -> None:
    assert number_at({"a": {"b": 1.0}}, "a/b") == 1.0
    assert number_at({"a": {"b": None}}, "a/b") is number_at({}, "a/b") is None


def test_of_one_seed_it_is_said_and_other_seeds_do_not_count() -> None:
    (claim,) = (each for each in CLAIMS if each.text.startswith("gain") and each.paper == "LDVC")
    assert "one seed: 50 / 40, +10.0 |" in table(analysis(claim, [50.0], [40.0, 99.0, 99.0]))
