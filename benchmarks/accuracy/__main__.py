"""The accuracy tables: which recipe makes the small network as good as the large one.

    python benchmarks/accuracy run TABLE [TABLE ...] --data DATA --weights WEIGHTS --out RUNS
    python benchmarks/accuracy report
    python benchmarks/accuracy robustness ROW [ROW ...] --data DATA --out RUNS
    python benchmarks/accuracy sources ROW [ROW ...] --data DATA --weights WEIGHTS --out RUNS

DATA holds cxr/, ct/ and mri/ with a manifest.csv each, WEIGHTS the teachers that come as files. Every row is a file in
rows/, every table one in tables/. A cell (row, data, share of the training images, seed) that results.jsonl has already
is not done again; one that was interrupted goes on. `report` writes tables and plots into docs/.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from accuracy.plan import Cell, load_table, table_names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="do the cells that are not done yet")
    run.add_argument("tables", nargs="+", choices=table_names(), metavar="TABLE", help=", ".join(table_names()))
    run.add_argument("--data", type=Path, required=True)
    run.add_argument("--weights", type=Path)
    run.add_argument("--out", type=Path, default=Path("runs/accuracy"))
    run.add_argument("--device", default="auto")
    run.add_argument("--jobs", type=int, default=os.cpu_count(), help="cells at once; each has its share of processors")
    run.add_argument("--seeds", type=int, nargs="+", help="of these seeds only")
    run.add_argument("--only", nargs="+", help="these rows only")
    run.add_argument("--on", nargs="+", help="these data only")
    run.add_argument("--fractions", type=int, nargs="+", help="these shares of the training images only")
    commands.add_parser("report", help="write tables and plots")
    commands.add_parser("cost", help="measure size and time of the networks")
    add_checks(commands)
    options = parser.parse_args()
    if options.command == "run":
        run_tables(options)
    elif options.command in ("robustness", "sources"):
        importlib.import_module(f"accuracy.{options.command}").measure(options)
    elif options.command == "cost":
        from accuracy.cost import write_cost

        write_cost()
    else:
        from accuracy.document import write_document

        write_document()


def add_checks(commands: Any) -> None:
    """The commands that ask more of rows than a table does."""
    robustness = commands.add_parser(
        "robustness", help="look at trained networks on harmed images, or without the organ"
    )
    robustness.add_argument("--fraction", type=int, default=100, help="share of the training images they have seen")
    sources = commands.add_parser("sources", help="train without one collection of radiographs and test on it")
    sources.add_argument("--weights", type=Path)
    sources.add_argument("--jobs", type=int, default=1, help="trainings at once")
    for command in (robustness, sources):
        command.add_argument("rows", nargs="+", metavar="ROW")
        command.add_argument("--data", type=Path, required=True)
        command.add_argument("--out", type=Path, default=Path("runs/accuracy"))
        command.add_argument("--device", default="auto")
        command.add_argument("--seeds", type=int, nargs="+", help="of these seeds only")


def run_tables(options: argparse.Namespace) -> None:
    from accuracy.records import append_record, read_records, records_of
    from accuracy.work import Places, do

    cells = {cell.key: cell for name in options.tables for cell in load_table(name).cells() if wanted(cell, options)}
    done = records_of(cells.values(), read_records())
    missing = [cell for key, cell in cells.items() if key not in done]
    print(f"{len(done)} cells are done, {len(missing)} are to do", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    threads = max(1, (os.cpu_count() or 1) // options.jobs)
    # Read by the libraries when a child starts.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    places = Places(options.data, options.weights, options.out.resolve(), options.device, threads)
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        failed = 0
        futures = {pool.submit(do, cell, places): cell for cell in missing}
        for count, future in enumerate(as_completed(futures), 1):
            if (error := future.exception()) is not None:
                failed += 1
                print(f"{count}/{len(missing)} {futures[future].key}: {error!r}", flush=True)
                continue
            record = future.result()
            append_record(record)
            scores = [record["test"]["balanced_accuracy"], record["test"]["macro_auc"], record["val"]["macro_auc"]]
            shown = "balanced accuracy {:.3f}, AUC {:.3f}, validation AUC {:.3f}".format(*scores)
            print(f"{count}/{len(missing)} {record['cell']}: {shown}, {record['wall_seconds']:.0f} s", flush=True)
    if failed:
        sys.exit(f"{failed} cells failed")


def wanted(cell: Cell, options: argparse.Namespace) -> bool:
    return (
        (not options.seeds or cell.seed in options.seeds)
        and (not options.only or cell.row.name in options.only)
        and (not options.on or cell.data in options.on)
        and (not options.fractions or cell.fraction in options.fractions)
    )


if __name__ == "__main__":
    main()
