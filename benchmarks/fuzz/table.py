"""The counts of a run as Markdown."""

from __future__ import annotations

import argparse
import datetime
from collections import Counter

from fuzz.cases import MUTATIONS
from fuzz.usage import MEGABYTES, SECONDS
from fuzz.worker import Outcome
from MonaiSKD import __version__
from MonaiSKD.runtime import open_model


def table(
    options: argparse.Namespace,
    counts: dict[str, Counter[str]],
    found: Counter[str],
    done: list[tuple[Outcome, str, str, int]],
    jobs: list[tuple[str, str | None]],
    wall: float,
) -> str:
    codes = sorted({code for row in counts.values() for code in row}, key=lambda code: (code != "result", code))
    total = sum((row for row in counts.values()), Counter[str]())
    names = ", ".join(rule or open_model(model).contract.rule.modality for model, rule in jobs)
    lines = [
        f"<!-- python benchmarks/fuzz --model MODEL {'--every-rule ' if options.every_rule else ''}"
        f"{'--data DIR ' * len(options.data)}--count {options.count} --seed {options.seed}; "
        f"MonaiSKD {__version__}; {datetime.date.today()} -->",
        f"{total.total()} inputs (rules in turn: {names}; seed {options.seed}; {wall / 60:.0f} minutes).",
        "Each went through `Classifier.attempt` or `Classifier.many`; the table counts how it ended.",
        "",
        f"| mutation | inputs | {' | '.join(codes)} |",
        f"|---|---|{'---|' * len(codes)}",
        *(
            f"| {kind} | {counts[kind].total()} | {' | '.join(str(counts[kind][code] or '') for code in codes)} |"
            for kind in MUTATIONS
            if kind in counts
        ),
        f"| all | {total.total()} | {' | '.join(str(total[code]) for code in codes)} |",
        "",
        "| finding | inputs |",
        "|---|---|",
        f"| internal error or escaped exception | {found['internal'] + found['traceback']} |",
        f"| process died | {found['crash']} |",
        f"| more than {SECONDS:.0f} s of processor time, or waited for ever | {found['slow'] + found['hang']} |",
        f"| more than {MEGABYTES:.0f} MB over the idle process | {found['memory']} |",
        f"| traceback or panic in the standard error | {found['noise']} |",
        f"| another stated modality answered | {found['wrong modality']} |",
        f"| probabilities that are no numbers | {found['not finite']} |",
        "",
    ]
    slowest = sorted(done, key=lambda entry: -entry[0].seconds)[:3]
    largest = sorted(done, key=lambda entry: -entry[0].megabytes)[:3]
    lines += [
        "Slowest: "
        + "; ".join(f"{one.seconds:.1f} s ({kind}, {name}, {one.what})" for one, kind, name, _ in slowest)
        + ".",
        "Largest: "
        + "; ".join(f"{one.megabytes:.0f} MB ({kind}, {name}, {one.what})" for one, kind, name, _ in largest)
        + ".",
    ]
    return "\n".join(lines) + "\n"
