"""Classifying files with a model that says how bright an image is, so that every probability is known beforehand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pytest
from known_images import ct_series, png, radiograph
from known_volumes import BRIGHTS, nifti, summary
from PIL import Image as PILImage

from MonaiSKD.errors import SKDError
from MonaiSKD.reading import from_volume_array, from_volume_node
from MonaiSKD.reading.dicom.dataset import open_dataset
from MonaiSKD.reading.image import Image, Series
from MonaiSKD.reading.volume import one_image
from MonaiSKD.runtime import Classifier, Failure, Result


def series_of(brights: list[float], reads: Counter[int] | None = None) -> Series:
    """A volume in memory that counts how often each slice is read; a bright of -1 cannot be read."""
    reads = Counter() if reads is None else reads

    def read(index: int) -> Image:
        reads[index] += 1
        if brights[index] < 0:
            raise SKDError(f"slice {index}", "is cut off", "Replace it", code="damaged")
        return Image(np.full((1, 8, 8), brights[index], dtype=np.float32), None, "volume", ())

    return Series("volume", len(brights), read)


def test_a_picture_of_8_bits_is_as_bright_as_its_grey(classifier, tmp_path):
    result = classifier(png(tmp_path / "a.png", 51))
    assert result.probabilities == pytest.approx({"dark": 0.8, "bright": 0.2}, abs=1e-6)
    assert (result.label, result.decision, result.atypical) == ("dark", ("dark",), False)
    assert result.atypicality == pytest.approx(0.3, abs=1e-6)
    assert (result.slices, result.instances, result.identity) == (None, (), None)
    assert list(result.probabilities) == ["dark", "bright"]
    assert result.input == str(tmp_path / "a.png")
    assert result.model.sha256 == classifier.model.sha256
    assert result.milliseconds > 0


def test_a_picture_of_16_bits_is_as_bright_as_its_grey(classifier, tmp_path):
    PILImage.fromarray(np.full((8, 8), 13107, dtype=np.uint16)).save(tmp_path / "a.png")
    assert classifier(tmp_path / "a.png").probabilities["bright"] == pytest.approx(0.2, abs=1e-6)


def test_a_picture_counts_by_its_mean_and_its_heat_map_shows_where(classifier, tmp_path):
    pixels = np.zeros((64, 64), dtype=np.uint8)
    pixels[:32, :32] = 255
    PILImage.fromarray(pixels).save(tmp_path / "a.png")
    result = classifier(tmp_path / "a.png")
    assert result.probabilities == {"dark": 0.75, "bright": 0.25}
    (heat,) = result.heatmaps
    assert (heat.label, heat.slice, heat.instance) == ("dark", 0, None)
    np.testing.assert_allclose(heat.values, -np.kron([[1, 0], [0, 0]], np.ones((2, 2))), atol=1e-6)
    np.testing.assert_array_equal(heat.pixels, pixels / 255)


def test_heat_maps_may_be_left_out_and_change_nothing_else(classifier, tmp_path):
    path = png(tmp_path / "a.png", 99)
    with_maps, without = classifier(path), classifier(path, heatmaps=False)
    assert (len(with_maps.heatmaps), without.heatmaps) == (1, ())
    assert with_maps.probabilities == without.probabilities
    assert with_maps.atypicality == without.atypicality


@pytest.mark.parametrize(("value", "bright"), [(1024, 0.25), (2048, 0.5), (4095, 4095 / 4096), (0, 0.0)])
def test_a_radiograph_is_exactly_as_bright_as_its_window_shows_it(classifier, tmp_path, value, bright):
    result = classifier(radiograph(tmp_path / "a.dcm", value))
    assert result.probabilities == {"dark": 1 - bright, "bright": bright}
    assert result.atypicality == abs(bright - 0.5)
    assert [instance.path for instance in result.instances] == [str(tmp_path / "a.dcm")]
    assert result.heatmaps[0].instance == result.instances[0]


@pytest.mark.parametrize("window", [{}, {"WindowCenter": None, "WindowWidth": None, "VOILUTFunction": None}])
def test_white_as_the_smallest_value_is_the_same_as_its_inverse(classifier, tmp_path, window):
    stored = np.random.default_rng(3).integers(1, 4096, (16, 16))
    plain = classifier(radiograph(tmp_path / "a.dcm", stored, **window))
    # An exact window of 4096 around 2048 maps v and 4096 - v to values that add up to 1.
    inverted = (4095 if window else 4096) - stored
    turned = classifier(radiograph(tmp_path / "b.dcm", inverted, PhotometricInterpretation="MONOCHROME1", **window))
    assert turned.probabilities == plain.probabilities
    np.testing.assert_array_equal(turned.heatmaps[0].pixels, plain.heatmaps[0].pixels)
    np.testing.assert_array_equal(turned.heatmaps[0].values, plain.heatmaps[0].values)


def check_brights(result: Result) -> None:
    slices = result.slices
    assert slices is not None
    np.testing.assert_allclose(slices.probabilities[:, 1], BRIGHTS, atol=1e-6)
    np.testing.assert_allclose(slices.atypicality, [0.5, 0.3, 0.1, 0.1, 0.3, 0.5], atol=1e-6)
    assert slices.used.tolist() == [False, True, True, True, True, False]
    assert result.probabilities == pytest.approx({"dark": 0.5, "bright": 0.5}, abs=1e-6)
    assert result.atypicality == pytest.approx(0.1, abs=1e-6)  # the second of six
    assert not result.atypical
    assert slices.positions == pytest.approx([5.0 * index for index in range(6)])


def test_every_slice_of_a_nifti_volume_is_known(lungs, tmp_path):
    check_brights(lungs(nifti(tmp_path / "a.nii.gz", BRIGHTS)))


def test_every_slice_of_a_dicom_series_is_known_and_so_is_its_file(lungs, tmp_path):
    files = ct_series(tmp_path / "ct", BRIGHTS)
    result = lungs(tmp_path / "ct")
    check_brights(result)
    assert [instance.path for instance in result.instances] == [str(path) for path in files]
    assert result.input == str(tmp_path / "ct")
    assert [heat.slice for heat in result.heatmaps] == list(result.slices.key)
    assert [heat.instance.path for heat in result.heatmaps] == [str(files[index]) for index in result.slices.key]
    key = BRIGHTS[result.slices.key[0]]
    np.testing.assert_allclose(result.heatmaps[0].pixels, key, atol=1e-6)


def test_a_series_in_memory_and_a_volume_node_say_what_the_file_says(lungs, tmp_path):
    path = nifti(tmp_path / "a.nii", [*BRIGHTS, 0.3])
    stored = nibabel.load(path)
    values = np.asarray(stored.dataobj).transpose()  # (K, J, I), as Slicer gives it
    node = lungs.classify(from_volume_array(values, stored.affine, lungs.contract.rule))
    _, *of_node = summary(node)
    _, *of_file = summary(lungs(path))
    assert of_node == of_file


def test_a_radiograph_in_a_volume_node_says_what_the_file_says(classifier, tmp_path):
    stored = np.random.default_rng(0).integers(0, 4095, (1, 12, 10))
    path = radiograph(tmp_path / "a.dcm", stored[0])
    head = open_dataset(path, pixels=False)
    image = from_volume_node(stored, classifier.contract.rule, header=head, path="node")
    node, file = classifier.classify(one_image(image, ())), classifier(path)
    assert node.input == "node"
    assert node.probabilities == file.probabilities
    np.testing.assert_array_equal(node.heatmaps[0].values, file.heatmaps[0].values)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("count", [15, 16, 17, 33])
def test_slices_are_whole_and_in_order_over_the_borders_of_batches(lung_model, count, threads):
    brights = [0.2 + 0.6 * index / (count - 1) for index in range(count)]
    result = Classifier(lung_model, threads=threads).classify(series_of(brights))
    np.testing.assert_allclose(result.slices.probabilities[:, 1], brights, atol=1e-6)
    assert result.probabilities["bright"] == pytest.approx(0.5, abs=1e-6)


def test_slices_are_read_once_and_key_slices_once_more_for_their_heat_maps(lungs):
    reads: Counter[int] = Counter()
    brights = [0.2 + 0.015 * index for index in range(33)]
    result = lungs.classify(series_of(brights, reads))
    assert len(result.heatmaps) == len(result.slices.key) == 3
    assert reads == Counter([*range(33), *result.slices.key])
    reads.clear()
    lungs.classify(series_of(brights, reads), heatmaps=False)
    assert reads == Counter(range(33))


def test_the_evidence_of_every_slice_is_kept_when_asked_for(lungs, tmp_path):
    series = series_of([0.2 + 0.015 * index for index in range(33)])
    plain = lungs.classify(series)
    result = lungs.classify(series, every_slice=True)
    assert plain.slices.heat is None
    assert result.slices.heat.shape == (len(series), 4, 4)
    assert result.probabilities == plain.probabilities
    for heat in result.heatmaps:
        np.testing.assert_array_equal(result.slices.heat[heat.slice], heat.values)


@pytest.mark.parametrize("place", [0, 16, 32])
def test_a_slice_that_fails_fails_the_volume_with_its_error(lungs, place):
    brights = [0.5] * 33
    brights[place] = -1
    with pytest.raises(SKDError, match=f"slice {place}: is cut off") as refusal:
        lungs.classify(series_of(brights))
    assert refusal.value.code == "damaged"


def test_a_damaged_slice_fails_its_series_and_not_the_next_one(lungs, tmp_path):
    files = ct_series(tmp_path / "a", BRIGHTS)
    files[3].write_bytes(files[3].read_bytes()[:-40])
    ct_series(tmp_path / "b", BRIGHTS, SeriesInstanceUID="1.2.826.1.2")
    answers = list(lungs.many([tmp_path / "a", tmp_path / "b"]))
    failed = [answer for answer in answers if isinstance(answer, Failure)]
    assert [(Path(one.input).name, one.code) for one in failed] == [("003.dcm", "damaged")]
    check_brights(next(answer for answer in answers if answer.input == str(tmp_path / "b")))


def test_a_folder_of_several_series_is_refused_with_a_remedy_and_many_takes_it(lungs, tmp_path):
    ct_series(tmp_path / "both", [0.2, 0.4])
    for path in ct_series(tmp_path / "other", [0.6, 0.8], SeriesInstanceUID="1.2.826.1.2"):
        path.rename(tmp_path / "both" / f"b{path.name}")
    with pytest.raises(SKDError, match=r"holds several images or series.*Classifier\.many"):
        lungs(tmp_path / "both")
    brights = [answer.probabilities["bright"] for answer in lungs.many([tmp_path / "both"])]
    assert brights == pytest.approx([0.3, 0.7], abs=1e-6)


def test_an_empty_folder_is_refused_and_gives_many_nothing(classifier, tmp_path):
    with pytest.raises(SKDError, match="holds no image") as refusal:
        classifier(tmp_path)
    assert refusal.value.code == "not_found"
    assert list(classifier.many([tmp_path])) == []


def test_a_folder_of_one_image_is_that_image(classifier, tmp_path):
    png(tmp_path / "in" / "a.png", 102)
    (tmp_path / "in" / "notes.txt").write_text("none")
    assert classifier(tmp_path / "in").probabilities["bright"] == pytest.approx(0.4, abs=1e-6)
    skipped: list[str] = []
    assert len(list(classifier.many([tmp_path / "in"], on_skip=skipped.append))) == 1
    assert [Path(path).name for path in skipped] == ["notes.txt"]
