"""Many inputs: the same answers in the same order for any number of threads, and none read long before it is wanted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from known_images import png
from known_volumes import BRIGHTS, nifti, summary

from MonaiSKD.reading import Source
from MonaiSKD.runtime import Classifier, Failure, Result


class Slow(Classifier):
    """Inputs whose name begins with "slow" take their time."""

    def read_and_classify(self, source: Source, *, heatmaps: bool = True) -> Result:
        if Path(source.path).name.startswith("slow"):
            time.sleep(0.03)
        return super().read_and_classify(source, heatmaps=heatmaps)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Thirty inputs: quick ones, slow ones, absent ones, damaged ones."""
    folder = tmp_path_factory.mktemp("mixture")
    paths = []
    for index in range(30):
        name = f"{'slow' if index % 5 == 0 else 'quick'}{index}.png"
        if index % 4 != 3:
            png(folder / name, 30 + 6 * index)
        elif index % 8 == 3:
            (folder / name).write_bytes(b"\x89PNG damaged")
        paths.append(folder / name)
    return paths


@pytest.fixture(scope="module")
def one_by_one(tiny_model: Path, mixture: list[Path]) -> list[tuple]:
    return [summary(answer) for answer in Classifier(tiny_model, threads=1).many(mixture, heatmaps=True)]


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_the_order_and_the_answers_are_the_same_for_any_number_of_threads(tiny_model, mixture, one_by_one, threads):
    answers = list(Slow(tiny_model, threads=threads).many(mixture, heatmaps=True))
    assert [answer.input for answer in answers] == [str(path) for path in mixture]
    assert [summary(answer) for answer in answers] == one_by_one
    assert [index for index, answer in enumerate(answers) if isinstance(answer, Failure)] == list(range(3, 30, 4))
    for index, answer in enumerate(answers):
        if isinstance(answer, Result):
            assert answer.probabilities["bright"] == pytest.approx((30 + 6 * index) / 255, abs=1e-6)


def test_one_classifier_shared_by_eight_threads_says_the_same_as_alone(classifier, mixture, one_by_one):
    together = threading.Barrier(8)

    def all_of_them(_: int) -> list[tuple]:
        together.wait()
        return [summary(answer) for answer in classifier.many(mixture, heatmaps=True)]

    with ThreadPoolExecutor(8) as pool:
        assert all(answers == one_by_one for answers in pool.map(all_of_them, range(8)))


def test_volumes_in_several_threads_say_the_same_as_alone(lungs, tmp_path):
    paths = [nifti(tmp_path / f"{index}.nii", [0.1 * index, *BRIGHTS]) for index in range(6)]
    alone = [summary(lungs(path)) for path in paths]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda path: summary(lungs(path)), paths)) == alone
    assert [summary(answer) for answer in lungs.many(paths, heatmaps=True)] == alone


class Recording(Classifier):
    """What was begun."""

    def __init__(self, *args, **options) -> None:
        super().__init__(*args, **options)
        self.begun: list[str] = []

    def read_and_classify(self, source: Source, *, heatmaps: bool = True) -> Result:
        self.begun.append(source.path)
        return super().read_and_classify(source, heatmaps=heatmaps)


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_reading_stays_a_few_inputs_ahead_of_the_caller_and_stops_with_him(tiny_model, tmp_path, threads):
    path = png(tmp_path / "a.png")
    given: list[int] = []

    def endless() -> Iterator[Path]:
        while True:
            given.append(len(given))
            yield path

    recording = Recording(tiny_model, threads=threads)
    answers = recording.many(endless())
    for taken in range(1, 6):
        next(answers)
        assert len(given) <= taken + 2 * threads + 1
    answers.close()
    begun = len(recording.begun)
    assert 5 <= begun <= len(given) <= 5 + 2 * threads + 1
    time.sleep(0.05)
    assert len(recording.begun) == begun
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


def test_nothing_is_read_before_the_first_answer_is_asked_for(tiny_model, tmp_path):
    recording = Recording(tiny_model, threads=2)
    answers = recording.many([png(tmp_path / "a.png")])
    assert recording.begun == []
    assert len(list(answers)) == len(recording.begun) == 1


def test_threads_are_all_processors_unless_said_and_one_at_least(tiny_model, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert Classifier(tiny_model).threads == 1
    assert Classifier(tiny_model, threads=3).threads == 3
