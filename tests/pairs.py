"""A small set of cases in which every pair of values of any two factors occurs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product

Case = tuple[str, ...]  # a value of each factor, in the factors' order
Pair = tuple[int, str, int, str]  # two factors by number, each with its value


def pairs_of(case: Case) -> set[Pair]:
    """All pairs of values in `case`."""
    return {(i, case[i], j, case[j]) for i, j in combinations(range(len(case)), 2)}


def all_pairs(factors: Mapping[str, Sequence[str]]) -> set[Pair]:
    """All pairs of values that there are, whether they can be or not."""
    return set().union(*(pairs_of(case) for case in product(*factors.values())))


def covering(factors: Mapping[str, Sequence[str]], possible: Callable[[Case], bool]) -> list[Case]:
    """Possible cases that together hold every pair that any possible case holds.

    Greedy: again and again the case that holds most of the pairs still missing, the first one among equals; at worst a
    logarithm of the number of pairs away from the fewest cases, mostly one or two.
    """
    cases = [case for case in product(*factors.values()) if possible(case)]
    missing: set[Pair] = set().union(*(pairs_of(case) for case in cases))
    chosen: list[Case] = []
    while missing:
        best = max(cases, key=lambda case: len(pairs_of(case) & missing))
        chosen.append(best)
        missing -= pairs_of(best)
    return chosen
