"""Which instances a deploy starts, keeps and retires: pure arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from paas.model.instance import Instance


@dataclass(frozen=True, order=True)
class Member:
    """One place in a formation, such as `web.1`."""

    process_type: str
    index: int

    def __str__(self) -> str:
        return f"{self.process_type}.{self.index}"


@dataclass(frozen=True)
class Plan:
    """The difference between what runs and what should."""

    start: tuple[Member, ...]
    keep: tuple[Instance, ...]
    retire: tuple[Instance, ...]

    @property
    def empty(self) -> bool:
        return not self.start and not self.retire


def place_of(instance: Instance) -> Member:
    """The place that an instance fills."""
    return Member(instance.process_type, instance.index)


def members(formation: Mapping[str, int]) -> list[Member]:
    """Every place of a formation, counted from 1."""
    return [
        Member(process_type, index)
        for process_type, quantity in sorted(formation.items())
        for index in range(1, quantity + 1)
    ]


def plan(
    running: Sequence[Instance],
    formation: Mapping[str, int],
    reusable: Callable[[Instance], bool],
) -> Plan:
    """Fill every place of `formation`, with a reusable running instance where there is one."""
    places = set(members(formation))
    keep: dict[Member, Instance] = {}
    for instance in running:
        place = place_of(instance)
        if place in places and place not in keep and reusable(instance):
            keep[place] = instance
    kept = {instance.id for instance in keep.values()}
    return Plan(
        start=tuple(sorted(places - keep.keys())),
        keep=tuple(keep.values()),
        retire=tuple(instance for instance in running if instance.id not in kept),
    )
