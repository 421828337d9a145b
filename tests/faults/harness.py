"""`make faults N=1000 SEED=1`: one fault after the other in a running installation; nothing is lost or done twice.

Sweep after sweep runs, and is audited at its end by witnesses outside the system (tests.faults.audit). All chance comes
from the seed and the sweep's number: what is done to sweep k of seed s is the same each time, and is repeated by
`make faults SEED=s FIRST=k N=…`; when it hits, the machine decides.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from tests.faults.audit import Audit, audit
from tests.faults.injections import POINTS, RARE, Done, Injector
from tests.faults.world import World

KINDS = {
    "kill optimizer": 10, "kill worker": 24, "kill ps": 8, "kill zygote": 4, "kill database": 5, "daemon": 3,
    "twice": 2,
    "web master": 1, "web worker": 2, "web both": 3, "everything": 1, "everything upgrade": 1, "away 5": 1,
    "stop optimizer": 2, "stop worker": 2, "stop zygote": 1, "stop daemon": 1, "stop web": 2, "stop database": 2,
    "exit 1": 2, "exit 137": 2, "exit 139": 2, "client": 3, "clock": 1,
    "disk ENOSPC": 1, "disk EIO": 1,
    "proxy delay": 2, "proxy hang": 2, "proxy refuse": 2, "proxy reset": 3, "proxy drop": 3,
}  # fmt: skip
"""What is done, and how often beside the others."""
POINTS_SHARE = 0.42
"""The part of the injections that are kills at named points."""
TURNS_APART = 7
"""So much further on among the points each sweep begins; without a common divisor with their number."""
SWEEPS: Mapping[str, Mapping[str, Any]] = {
    "trials": {"opt_stages": [[3000, 150], [2000, 50]]},
    "async": {"opt_stages": [[100, 40], [60, 10]]},
    "sync": {"opt_stages": [[100, 40], [60, 10]]},
}
QUICK = {"max_attempts": 20, "train_tolerance": 0, "opt_tolerance": 0, "data_instances": 300, "max_failures": 0}


@dataclass(slots=True)
class Plan:
    """What is to happen to one sweep."""

    seed: int
    number: int
    parallelism: str
    values: dict[str, Any]
    stop_after: int
    """Injections after which the user stops it, while its optimizer is killed; 0: it runs to its end."""

    @staticmethod
    def of(seed: int, number: int) -> Plan:
        rng = Random(f"{seed}/{number}")
        parallelism = rng.choices(("trials", "async", "sync"), (8, 1, 1))[0]
        values = {**QUICK, **SWEEPS[parallelism], "seed": rng.randrange(1000), "parallelism": parallelism}
        return Plan(seed, number, parallelism, values, rng.randint(2, 12) if rng.random() < 0.15 else 0)

    def kinds(self, only: Sequence[str] = ()) -> Iterator[tuple[str, Random]]:
        """Without end: what is done next, of *only* these if there are any, and the chance of that.

        The named points take turns, and each sweep begins elsewhere among them: all are hit about equally often.
        """
        turns = tuple(POINTS)
        index, turn = 0, self.number * TURNS_APART
        while True:
            index += 1
            rng = Random(f"{self.seed}/{self.number}/{index}")
            if only:
                yield rng.choice(only), rng
            elif rng.random() < POINTS_SHARE:
                yield f"point {turns[turn % len(turns)]}", rng
                turn += 1
            else:
                kind = rng.choices(tuple(KINDS), tuple(KINDS.values()))[0]
                together = self.parallelism != "trials"
                yield ("kill chief" if kind == "kill zygote" and together else kind), rng


@dataclass(slots=True)
class Summary:
    """What a run has found."""

    seed: int
    injections: int = 0
    void: int = 0
    sweeps: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    times: dict[str, list[float]] = field(default_factory=dict)
    audits: list[Audit] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, done: Done, where: str) -> None:
        if done.void:
            self.void += 1
        else:
            self.injections += 1
            word, _, point = done.kind.partition(" ")
            self.kinds[word if word == "point" else done.kind] += 1
            if word == "point":
                self.points[point] += 1
        for name, seconds in done.times.items():
            self.times.setdefault(name, []).append(seconds)
        self.faults += [f"{where}, {done.kind} {done.detail}: {fault}" for fault in done.faults]

    def to_json(self) -> dict[str, Any]:
        counted = {"kinds": dict(self.kinds), "points": dict(self.points)}
        return {**asdict(replace(self, kinds=Counter(), points=Counter())), **counted}

    def report(self) -> str:
        def total(name: str) -> int:
            return sum(len(getattr(one, name)) for one in self.audits)

        acknowledged, begun, events = (
            sum(getattr(one, name) for one in self.audits) for name in ("acknowledged", "begun", "events")
        )
        lines = [
            f"seed {self.seed}: {self.injections} injections ({self.void} more found nothing to hit) into "
            f"{self.sweeps} sweeps in {self.seconds / 60:.1f} minutes",
            f"{acknowledged} trials acknowledged, {begun} begun, {events} events: {total('lost')} lost, "
            f"{total('again')} run again, {total('duplicates')} duplicates, {total('missing')} missing, "
            f"{total('wrong')} wrong; "
            f"{max((one.overlap for one in self.audits), default=0.0):.2f} s of double ownership; "
            f"{sum('orphans' in fault for fault in self.faults)} orphans",
            "kinds: " + ", ".join(f"{kind} {count}" for kind, count in self.kinds.most_common()),
            "points: " + ", ".join(f"{point} {self.points[point]}" for point in (*POINTS, *RARE)),
        ]
        for name, values in sorted(self.times.items()):
            p50, p95 = np.percentile(values, (50, 95))
            lines.append(f"{name}: p50 {p50:.1f} s, p95 {p95:.1f} s, longest {max(values):.1f} s, of {len(values)}")
        return "\n".join([*lines, *(f"FAULT {fault}" for fault in self.faults)])


class Harness:
    """Runs sweeps in one world until so many injections are done."""

    def __init__(self, world: World, seed: int, say: Any = lambda text: None) -> None:
        self.world = world
        self.summary = Summary(seed)
        self._missed: list[tuple[str, Random]] = []
        """What found nothing to hit."""
        self._say = say

    def run(self, count: int, first: int = 0, minutes: float = math.inf, only: Sequence[str] = ()) -> Summary:
        """Do *count* injections, or as many as the time allows, beginning with sweep *first* of the seed."""
        begun, number = time.monotonic(), first
        until = begun + 60 * minutes
        while self.summary.injections < count and time.monotonic() < until:
            plan = Plan.of(self.summary.seed, number)
            self.sweep(plan, plan.kinds(only), count, until)
            number += 1
            self.summary.seconds = time.monotonic() - begun
        return self.summary

    def run_through(self, kinds: Sequence[str]) -> Summary:
        """Do the *kinds* one after the other, in as many sweeps as that takes; one that hits nothing is tried again."""
        left = deque((kind, Random(f"{self.summary.seed}/{index}")) for index, kind in enumerate(kinds))
        begun, number = time.monotonic(), 0
        while left and self.summary.void < len(kinds):
            plan = replace(Plan.of(self.summary.seed, number), stop_after=0)
            self.sweep(plan, (left.popleft() for _ in range(len(left))))
            left += self._missed
            self._missed.clear()
            number += 1
        self.summary.seconds = time.monotonic() - begun
        return self.summary

    def sweep(
        self, plan: Plan, kinds: Iterator[tuple[str, Random]], count: float = math.inf, until: float = math.inf
    ) -> Audit:
        """One sweep, with injections until it ends, or there were *count* of them, or the time is over."""
        world, summary = self.world, self.summary
        where = f"sweep {plan.number}"
        rare = {point: world.arm(point) for point in RARE}
        sweep_id = world.begin(f"{plan.seed}-{plan.number}", **plan.values)
        injector = Injector(world, sweep_id)
        index = 0
        most = plan.stop_after or count
        while index < most and summary.injections < count and time.monotonic() < until and not injector.ended():
            kind, chance = next(kinds, ("", Random()))
            if not kind:
                break
            index += 1
            time.sleep(chance.uniform(0, 0.4))
            done = injector.inject(kind, chance)
            summary.add(done, f"{where}.{index}")
            if done.void:
                self._missed.append((kind, chance))
            what = f"{kind} {done.detail}{' (void)' if done.void else ''}"
            self._say(f"{where}.{index} {what}: {done.took:.1f} s {done.times} {done.faults or ''}")
        if not injector.ended():
            injector.stop_and_kill()
        world.settle()
        world.proxy.heal()
        world.place.wait_ended(sweep_id, 120)
        last = Done("the end")
        injector.kept(last)
        summary.add(last, where)
        summary.injections -= 1
        del summary.kinds["the end"]
        for point, order in rare.items():
            world.disarm(point)
            if world.obeyed(order):
                summary.add(Done(f"point {point}"), where)
        sweep = world.store.sweeps.get(sweep_id)
        state = "STOPPED" if injector.stopped and sweep["state"] == "STOPPED" else "COMPLETED"
        found = audit(world, sweep_id, state, len(injector.exits))
        summary.audits.append(found)
        summary.sweeps += 1
        summary.faults += [f"{where} ({sweep_id}): {fault}" for fault in found.faults]
        self._say(f"{where} {sweep_id} {plan.parallelism} {state}: {found}")
        world.leave()
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--injections", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the first sweep's number")
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--folder", type=Path, help="where everything of it lies, and stays; else a temporary one")
    parser.add_argument("--only", default="", help="kinds to choose from, separated by commas")
    parser.add_argument("--embedded", action="store_true", help="the daemon uses the embedded database, without proxy")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary) / "world"
        world = World(folder, arguments.port, shared=not arguments.embedded)
        harness = Harness(world, arguments.seed, lambda text: print(text, file=sys.stderr, flush=True))
        only = [kind.strip() for kind in arguments.only.split(",") if kind.strip()]
        try:
            summary = harness.run(arguments.injections, arguments.first, arguments.minutes, only)
        finally:
            world.close()
            print(harness.summary.report(), flush=True)
            (folder / "summary.json").write_text(json.dumps(harness.summary.to_json()))
    return 1 if summary.faults else 0


if __name__ == "__main__":
    sys.exit(main())
