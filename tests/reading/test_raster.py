"""Every raster format, written by Pillow from known numbers and read back exactly."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from MonaiSKD.errors import SKDError
from MonaiSKD.reading import RULES, read_image

RULE = RULES["chest_xray"]
EIGHT = np.array([[0, 51, 102], [153, 204, 255]], dtype=np.uint8)
SIXTEEN = np.array([[0, 13107, 26214], [39321, 52428, 65535]], dtype=np.uint16)
# Both are these fifths.
FIFTHS = [[[0.0, 0.2, 0.4], [0.6, 0.8, 1.0]]]


def save(folder: Path, name: str, pixels: np.ndarray, **options: object) -> Path:
    PILImage.fromarray(pixels).save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.TIFF"])
def test_8_bits_are_divided_by_255(tmp_path: Path, name: str) -> None:
    path = save(tmp_path, name, EIGHT)
    image = read_image(path, RULE)
    np.testing.assert_allclose(image.pixels, FIFTHS, atol=1e-7)
    assert image.pixels.dtype == np.float32
    assert (image.path, image.spacing, image.applied) == (str(path), None, ("8 bits to [0, 1]",))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bits_are_divided_by_65535(tmp_path: Path, name: str) -> None:
    image = read_image(save(tmp_path, name, SIXTEEN), RULE)
    np.testing.assert_allclose(image.pixels, FIFTHS, atol=1e-7)
    assert image.applied == ("16 bits to [0, 1]",)


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG"])
def test_a_jpeg_is_read_to_within_its_loss(tmp_path: Path, name: str) -> None:
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    image = read_image(save(tmp_path, name, ramp, quality=95), RULE)
    np.testing.assert_allclose(image.pixels[0], ramp / 255, atol=0.02)


def test_one_bit_pictures_are_black_and_white(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    PILImage.fromarray(EIGHT).convert("1", dither=PILImage.Dither.NONE).save(path)
    assert read_image(path, RULE).pixels.tolist() == [[[0, 0, 0], [1, 1, 1]]]


def test_colours_become_luma(tmp_path: Path) -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], dtype=np.uint8)
    image = read_image(save(tmp_path, "a.png", colours), RULE)
    # ITU-R 601: 0.299 R + 0.587 G + 0.114 B, in whole steps of 1/255.
    np.testing.assert_allclose(image.pixels, [[[76 / 255, 150 / 255, 29 / 255, 1.0]]], atol=1e-6)
    assert image.applied == ("RGB to luma", "8 bits to [0, 1]")


def test_a_grey_picture_saved_in_colours_stays_as_it_is(tmp_path: Path) -> None:
    image = read_image(save(tmp_path, "a.bmp", np.stack([EIGHT] * 3, axis=-1)), RULE)
    np.testing.assert_allclose(image.pixels, FIFTHS, atol=1e-6)


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    indexed = PILImage.fromarray(np.array([[0, 1], [2, 0]], dtype=np.uint8), mode="P")
    indexed.putpalette([10, 10, 10, 200, 200, 200, 90, 90, 90])
    indexed.save(tmp_path / "a.png")
    np.testing.assert_allclose(read_image(tmp_path / "a.png", RULE).pixels * 255, [[[10, 200], [90, 10]]], atol=1e-4)


@pytest.mark.parametrize("bands", [1, 3])
def test_alpha_is_dropped(tmp_path: Path, bands: int) -> None:
    opacity = np.array([[0, 10, 255], [128, 0, 3]], dtype=np.uint8)
    image = read_image(save(tmp_path, "a.png", np.stack([EIGHT] * bands + [opacity], axis=-1)), RULE)
    np.testing.assert_allclose(image.pixels, FIFTHS, atol=1e-6)


@pytest.mark.parametrize("pixels", [EIGHT, SIXTEEN], ids=["8 bit", "16 bit"])
@pytest.mark.parametrize(
    ("orientation", "shown"),
    [
        (2, [[0.4, 0.2, 0.0], [1.0, 0.8, 0.6]]),
        (3, [[1.0, 0.8, 0.6], [0.4, 0.2, 0.0]]),
        (6, [[0.6, 0.0], [0.8, 0.2], [1.0, 0.4]]),
        (8, [[0.4, 1.0], [0.2, 0.8], [0.0, 0.6]]),
    ],
)
def test_exif_orientation_is_applied(
    tmp_path: Path, pixels: np.ndarray, orientation: int, shown: list[list[float]]
) -> None:
    exif = PILImage.Exif()
    exif[0x0112] = orientation
    image = read_image(save(tmp_path, "a.png", pixels, exif=exif), RULE)
    np.testing.assert_allclose(image.pixels, [shown], atol=1e-7)
    assert image.applied[0] == f"turned upright (EXIF orientation {orientation})"


@pytest.mark.parametrize(
    ("pixels", "words"),
    [(EIGHT, ("8 bits to [0, 1]",)), (SIXTEEN, ("inverted (white is zero)", "16 bits to [0, 1]"))],
    ids=["8 bit", "16 bit"],
)
def test_a_tiff_that_stores_white_as_zero_is_shown_as_meant(
    tmp_path: Path, pixels: np.ndarray, words: tuple[str, ...]
) -> None:
    path = tmp_path / "a.tif"
    PILImage.fromarray(pixels).save(path, tiffinfo={262: 0})
    # Pillow's writer inverts 8-bit values for this tag, and leaves 16-bit ones as they are.
    stored = FIFTHS if pixels is EIGHT else 1.0 - np.array(FIFTHS)
    image = read_image(path, RULE)
    np.testing.assert_allclose(image.pixels, stored, atol=1e-6)
    assert image.applied == words


def test_the_content_counts_and_not_the_suffix(tmp_path: Path) -> None:
    save(tmp_path, "a.png", EIGHT).rename(tmp_path / "a.jpg")
    np.testing.assert_allclose(read_image(tmp_path / "a.jpg", RULE).pixels, FIFTHS, atol=1e-7)


def test_the_rule_does_not_touch_what_is_already_displayed(tmp_path: Path) -> None:
    path = save(tmp_path, "a.png", EIGHT)
    for rule in RULES.values():
        np.testing.assert_allclose(read_image(path, rule).pixels, FIFTHS, atol=1e-7)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_32_bit_pixels_are_refused(tmp_path: Path, kind: type) -> None:
    path = save(tmp_path, "a.tif", EIGHT.astype(kind))
    with pytest.raises(SKDError, match="32-bit pixels, whose display range is unknown") as caught:
        read_image(path, RULE)
    assert caught.value.thing == str(path)


def test_a_tiff_of_two_pages_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    PILImage.fromarray(EIGHT).save(path, save_all=True, append_images=[PILImage.fromarray(EIGHT)])
    with pytest.raises(SKDError, match="holds 2 pages") as caught:
        read_image(path, RULE)
    assert caught.value.thing == str(path)


def test_text_under_a_picture_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("not a picture")
    with pytest.raises(SKDError, match="is not a PNG, JPEG, TIFF or BMP picture"):
        read_image(path, RULE)


def test_a_picture_without_pixels_is_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 0, 8, 0, 0, 0, 0))
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
    with pytest.raises(SKDError) as caught:
        read_image(path, RULE)
    assert caught.value.thing == str(path)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning", "ignore:Truncated File Read:UserWarning")
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tif"])
def test_a_file_cut_off_anywhere_is_read_or_refused_by_name(tmp_path: Path, name: str) -> None:
    whole = save(tmp_path, name, np.arange(64, dtype=np.uint8).reshape(8, 8)).read_bytes()
    cut = tmp_path / f"cut_{name}"
    refused = []
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        try:
            assert read_image(cut, RULE).pixels.shape == (1, 8, 8)
        except SKDError as error:
            refused.append(error.thing)
    assert len(refused) > len(whole) / 2
    assert set(refused) == {str(cut)}


def test_a_real_radiograph_has_the_size_of_its_manifest(shared: Path) -> None:
    image = read_image(shared / "data" / "cxr" / "test" / "covid" / "test_covid_0002.jpg", RULE)
    assert image.pixels.shape == (1, 256, 572)
    with PILImage.open(image.path) as picture:
        np.testing.assert_allclose(image.pixels[0], np.asarray(picture.convert("L")) / 255, atol=1e-6)
