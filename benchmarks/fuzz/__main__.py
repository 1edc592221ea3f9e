"""Feeds damaged, absurd and foreign files to a model: each must end in a result or a refusal, soon and in few bytes.

    python benchmarks/fuzz --model model.onnx --data DIR --count 10000 --seed 0

Real files of DIR and small ones made here are mutated and classified in a child process that the parent watches. What
it counts as a finding: an "internal" error, more than 10 s of processor time, more than 1 GB of memory over what the
idle process has, the death of the process, a traceback or a panic in its standard error, and an answer for an image
whose header states another modality. Findings are kept in --findings, named by their number; the number and the seed
alone make the same file again (--only NUMBER).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))
from sections import BENCHMARKS, write_section

from fuzz.cases import case
from fuzz.seeds import seeds_of
from fuzz.table import table
from fuzz.watching import Worker
from fuzz.worker import Outcome

RULE_NAMES = ("chest_xray", "lung_ct", "brain_mri")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", required=True, help="an .onnx file; several take turns")
    parser.add_argument("--every-rule", action="store_true", help="use each model under all three rules of reading")
    parser.add_argument("--data", action="append", type=Path, default=[], help="a folder of real files to mutate")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--only", type=int, action="append", help="run these numbers alone and say what became of them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--findings", type=Path, help="folder for the inputs that are findings")
    parser.add_argument("--out", type=Path, default=BENCHMARKS, help="the document whose section `fuzz` is written")
    return parser.parse_args()


def main() -> None:
    options = _options()
    rules = list(RULE_NAMES) if options.every_rule else [None]
    jobs = [(model, rule) for model in options.model for rule in rules]
    folder = Path(tempfile.mkdtemp())
    workers = [
        Worker(model, rule, options.data, options.seed, str(folder / f"errors{k}.txt"))
        for k, (model, rule) in enumerate(jobs)
    ]
    seeds = seeds_of(options.data)
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    found: Counter[str] = Counter()
    done: list[tuple[Outcome, str, str, int]] = []
    start = time.monotonic()
    numbers = options.only or range(options.count)
    for number in tqdm(numbers, mininterval=5):
        answer = workers[number % len(workers)].run(number)
        if isinstance(answer, Outcome):
            kind, original, _ = case(number, options.seed, seeds)
            name, outcome = original.name, answer
        else:
            kind, name, outcome = answer
        counts[kind][outcome.what] += 1
        done.append((replace(outcome, message=""), kind, name, number))
        if options.only:
            print(number, jobs[number % len(jobs)], kind, name, outcome)
        if outcome.findings:
            found.update(outcome.findings)
            tqdm.write(f"{number}: {', '.join(outcome.findings)}: {kind}, {name}: {outcome.message[-300:]}")
            if options.findings:
                _, _, mutant = case(number, options.seed, seeds)
                options.findings.mkdir(parents=True, exist_ok=True)
                suffix = "".join(Path(mutant.name.replace(":", "_")).suffixes)
                (options.findings / f"{number}{suffix}").write_bytes(mutant.content)
                (options.findings / f"{number}.txt").write_text(
                    f"{jobs[number % len(jobs)]} {kind}, {name}: {outcome}\n{outcome.message}"
                )
    for worker in workers:
        worker.stop()
    shutil.rmtree(folder)
    text = table(options, counts, found, done, jobs, time.monotonic() - start)
    print(text)
    if not options.only:
        write_section(options.out, "fuzz", text)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
