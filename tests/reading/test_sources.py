"""What is found below files and folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from handmade import CT, MR, header, save, write_series
from PIL import Image as PILImage
from pydicom import Dataset, dcmread
from pydicom.fileset import FileSet

from MonaiSKD.errors import SKDError
from MonaiSKD.reading import RULES, CanonicalRule
from MonaiSKD.reading.series import read_series
from MonaiSKD.reading.sources import Source, find_sources

CXR = RULES["chest_xray"]
BOTH = pytest.mark.parametrize("rule", [CXR, MR], ids=["chest", "brain"])


def names(sources: Iterator[Source]) -> list[str]:
    return [Path(source.path).name for source in sources]


def png(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PILImage.fromarray(np.zeros((2, 2), dtype=np.uint8)).save(path, format="PNG")
    return path


@BOTH
def test_a_folder_gives_its_images_by_name_and_counts_the_rest(tmp_path: Path, rule: CanonicalRule) -> None:
    for name in ("b.png", "a.JPG", "c.nii.gz", "d.nrrd", "e.mha", ".hidden.png", "below/f.png"):
        png(tmp_path / name)
    (tmp_path / "notes.txt").write_text("none")
    (tmp_path / "README").write_text("none")
    (tmp_path / "empty").write_bytes(b"")
    skipped: list[str] = []
    found = names(find_sources([tmp_path], rule, on_skip=skipped.append))
    assert found == ["a.JPG", "b.png", "c.nii.gz", "d.nrrd", "e.mha"]
    assert [Path(path).name for path in skipped] == ["README", "empty", "notes.txt"]
    assert names(find_sources([tmp_path], rule, recursive=True)) == ["a.JPG", "b.png", "f.png", *found[2:]]


@BOTH
def test_a_named_file_is_attempted_whatever_its_name(tmp_path: Path, rule: CanonicalRule) -> None:
    given = [png(tmp_path / "picture"), png(tmp_path / ".hidden.png"), tmp_path / "notes.txt", tmp_path / "absent"]
    given[2].write_text("none")
    skipped: list[str] = []
    assert [source.path for source in find_sources(given, rule, on_skip=skipped.append)] == [
        str(path) for path in given
    ]
    assert skipped == []


def test_dicom_is_known_by_its_content(tmp_path: Path) -> None:
    save(tmp_path / "IM0001", np.zeros((4, 4), np.uint16), header("CR"))
    whole = save(tmp_path / "other.txt", np.zeros((4, 4), np.uint16), header("CR")).read_bytes()
    (tmp_path / "no_preamble").write_bytes(whole[132:])
    assert sorted(names(find_sources([tmp_path], CXR))) == ["IM0001", "no_preamble", "other.txt"]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    png(tmp_path / "a" / "x.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a" / "self")
    (tmp_path / "again.png").symlink_to(tmp_path / "a" / "x.png")
    assert names(find_sources([tmp_path], CXR, recursive=True)) == ["x.png"]


def test_a_link_called_as_an_image_that_leads_nowhere_is_a_failure(tmp_path: Path) -> None:
    png(tmp_path / "in" / "a.png")
    for name in ("b.dcm", "notes"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "unmounted" / name)
    skipped: list[str] = []
    found = list(find_sources([tmp_path / "in"], CXR, on_skip=skipped.append))
    assert [(Path(one.path).name, one.error and one.error.code) for one in found] == [
        ("a.png", None), ("b.dcm", "not_found"),
    ]  # fmt: skip
    assert skipped == [str(tmp_path / "in" / "notes")]


def test_a_link_to_a_name_that_no_file_can_have_stops_nothing(tmp_path: Path) -> None:
    png(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("x" * 300)
    assert [one.error is None for one in find_sources([tmp_path], CXR)] == [True, False]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    skipped: list[str] = []
    assert names(find_sources([tmp_path], CXR, on_skip=skipped.append)) == []
    assert len(skipped) == 1


def test_a_folder_given_twice_is_walked_once(tmp_path: Path) -> None:
    path = png(tmp_path / "a.png")
    assert names(find_sources([tmp_path, tmp_path], CXR)) == ["a.png"]
    assert names(find_sources([path, tmp_path], CXR)) == ["a.png"]
    assert names(find_sources([path, path], CXR)) == ["a.png", "a.png"]


def test_radiographs_are_found_while_the_folder_is_walked(tmp_path: Path, monkeypatch) -> None:
    for number in range(20):
        save(tmp_path / f"{number:02}.dcm", np.zeros((4, 4), np.uint16), header("CR"))
    opened: list[str] = []
    original = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *args: opened.append(self.name) or original(self, *args))
    assert names(islice(find_sources([tmp_path], CXR), 3)) == ["00.dcm", "01.dcm", "02.dcm"]
    assert opened == ["00.dcm", "01.dcm", "02.dcm"]


def test_slices_are_gathered_by_series_over_all_folders(tmp_path: Path) -> None:
    write_series(tmp_path / "one" / "a", SeriesInstanceUID="1.1", name="a{}")
    write_series(tmp_path / "one" / "b", SeriesInstanceUID="1.2", name="b{}")
    for path in sorted((tmp_path / "one" / "b").iterdir())[:3]:
        (tmp_path / "two").mkdir(exist_ok=True)
        path.rename(tmp_path / "two" / path.name)
    png(tmp_path / "two" / "z.png")
    found = list(find_sources([tmp_path / "one", tmp_path / "two"], MR, recursive=True))
    assert [(Path(source.path).relative_to(tmp_path).as_posix(), len(source.files)) for source in found] == [
        ("two/z.png", 1),
        ("one/a", 6),
        ("one/b/b3", 6),
    ]
    assert [len(read_series(source, MR)) for source in found] == [1, 6, 6]


def test_series_of_one_folder_are_called_by_their_first_files(tmp_path: Path) -> None:
    write_series(tmp_path, SeriesInstanceUID="1.1", name="a{}")
    write_series(tmp_path, SeriesInstanceUID="1.2", name="b{}")
    assert names(find_sources([tmp_path], MR)) == ["a0", "b0"]


def test_a_named_slice_is_not_joined_with_others(tmp_path: Path) -> None:
    files = write_series(tmp_path)
    assert [source.files for source in find_sources(files[:2], MR)] == [(str(file),) for file in files[:2]]


def test_named_slices_are_joined_where_that_is_asked_for(tmp_path: Path) -> None:
    files = [
        *write_series(tmp_path, SeriesInstanceUID="1.1", name="a{}"),
        *write_series(tmp_path, SeriesInstanceUID="1.2", name="b{}"),
    ]
    found = list(find_sources(files, MR, gather=True))
    assert [len(source.files) for source in found] == [len(files) // 2] * 2


def test_sizes_orientations_and_localizers_do_not_mix(tmp_path: Path) -> None:
    write_series(tmp_path, name="axial{}")
    write_series(tmp_path, plane="sagittal", name="sagittal{}")
    write_series(tmp_path, (6, 8, 9), name="large{}")
    write_series(tmp_path, (2, 5, 4), plane="coronal", name="scout{}", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    found = list(find_sources([tmp_path], MR))
    assert names(iter(found)) == ["axial0", "large0", "sagittal0"]
    assert all("5 localizers were left out." in source.warnings for source in found)
    assert all(any("3 sizes, spacings or orientations" in warning for warning in source.warnings) for source in found)
    assert [len(read_series(source, MR)) for source in found] == [6, 6, 6]


@pytest.mark.parametrize(
    "other",
    [
        {"PatientID": "18", "StudyInstanceUID": "1.3"},
        {"PatientID": "18"},
        {"StudyInstanceUID": "1.3"},
        {"PatientID": None, "PatientName": "B"},
    ],
)
@pytest.mark.parametrize("series", ["1.2.3", None])
def test_patients_and_studies_do_not_mix_though_their_series_have_one_number(
    tmp_path: Path, series: str | None, other: dict[str, str | None]
) -> None:
    write_series(tmp_path, name="a{}", SeriesInstanceUID=series)
    write_series(tmp_path, (6, 5, 4), name="b{}", SeriesInstanceUID=series, **other)
    found = list(find_sources([tmp_path], MR))
    assert names(iter(found)) == ["a0", "b0"]
    for source in found:
        assert source.warnings == (
            "The series holds slices of 2 patients or studies; each is read as a series of its own.",
        )
        assert "18" not in repr(source.slices[0]).replace(source.slices[0].path, "")
    first, second = (read_series(source, MR) for source in found)
    assert (len(first), len(second)) == (6, 6)
    assert (first.identity.patient_id, second.identity.patient_id) == ("17", other.get("PatientID", "17") or "")


@pytest.mark.parametrize("absent", [{"PatientID": None}, {"StudyInstanceUID": None}, {"PatientID": ""}])
def test_what_some_slices_leave_out_contradicts_nothing(tmp_path: Path, absent: dict[str, str | None]) -> None:
    for index, path in enumerate(write_series(tmp_path)):
        if index % 2:
            dataset = dcmread(path)
            for keyword, value in absent.items():
                if value is None:
                    del dataset[keyword]
                else:
                    setattr(dataset, keyword, value)
            dataset.save_as(path)
    (source,) = find_sources([tmp_path], MR)
    assert (len(source.slices), source.warnings) == (6, ())


def test_slices_of_nobody_go_to_neither_of_two_patients(tmp_path: Path) -> None:
    write_series(tmp_path, name="a{}")
    write_series(tmp_path, (6, 5, 4), name="b{}", PatientID="18")
    write_series(tmp_path, (6, 5, 4), name="c{}", PatientID=None)
    assert names(find_sources([tmp_path], MR)) == ["a0", "b0", "c0"]


def test_two_patients_in_folders_of_their_own_are_called_by_these(tmp_path: Path) -> None:
    write_series(tmp_path / "a")
    write_series(tmp_path / "b", PatientID="18")
    assert names(find_sources([tmp_path], MR, recursive=True)) == ["a", "b"]


def test_slices_of_two_patients_are_never_read_as_one(tmp_path: Path) -> None:
    files = [*write_series(tmp_path, name="a{}"), *write_series(tmp_path, name="b{}", PatientID="18")]
    with pytest.raises(SKDError, match="holds 2 volumes"):
        read_series(Source("both", tuple(map(str, files))), MR)


@pytest.mark.parametrize(
    ("tags", "variants"),
    [
        ({"PatientID": None}, {}),
        ({"PatientID": ""}, {}),
        ({"StudyInstanceUID": None}, {}),
        ({"PatientID": None, "StudyInstanceUID": None, "SeriesInstanceUID": None}, {}),
        ({"PatientID": "17"}, {"PatientID": "17  "}),
        ({"PatientName": "Doe^Jo"}, {"PatientName": "DOE^JO^"}),
        ({"PatientID": None, "PatientName": "Doe^Jo"}, {"PatientID": None, "PatientName": "DOE^JO^"}),
    ],
)
def test_a_series_stays_one_whatever_its_header_leaves_out_or_varies(
    tmp_path: Path, tags: dict[str, str | None], variants: dict[str, str | None]
) -> None:
    files = write_series(tmp_path, **tags)
    write_series(tmp_path / "other", **{**tags, **variants})
    for file in files[:3]:
        (tmp_path / "other" / file.name).replace(file)
    for rest in (tmp_path / "other").iterdir():
        rest.unlink()
    (source,) = find_sources([tmp_path], MR)
    assert source.path == str(tmp_path)
    assert source.warnings == ()
    assert len(read_series(source, MR)) == 6


def test_a_series_of_localizers_alone_is_refused_when_it_is_read(tmp_path: Path) -> None:
    write_series(tmp_path, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    (source,) = find_sources([tmp_path], MR)
    with pytest.raises(SKDError, match="localizer") as caught:
        read_series(source, MR)
    assert caught.value.code == "not_an_image"


@pytest.mark.parametrize("keyword", ["EchoTime", "TemporalPositionIdentifier", "AcquisitionNumber", "DiffusionBValue"])
def test_several_volumes_of_one_series_are_taken_apart(tmp_path: Path, keyword: str) -> None:
    for number in (1, 2, 3):
        write_series(tmp_path, name=f"{number}_{{}}", **{keyword: number})
    found = list(find_sources([tmp_path], MR))
    assert names(iter(found)) == ["1_0", "2_0", "3_0"]
    assert all("3 volumes" in source.warnings[0] for source in found)


def test_volumes_of_one_file_have_names_of_their_own(tmp_path: Path) -> None:
    groups = []
    for time in (1, 2):
        for index in range(3):
            group, content, position = Dataset(), Dataset(), Dataset()
            content.TemporalPositionIndex = time
            position.ImagePositionPatient = [0, 0, 5 * index]
            group.FrameContentSequence, group.PlanePositionSequence = [content], [position]
            groups.append(group)
    lying = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1, 1]}
    frames = np.arange(96, dtype=np.uint16).reshape(6, 4, 4)
    file = save(tmp_path / "dyn.dcm", frames, header(PerFrameFunctionalGroupsSequence=groups, **lying))
    found = list(find_sources([file], MR))
    assert names(iter(found)) == ["dyn.dcm#1", "dyn.dcm#2"]
    assert [source.files for source in found] == [(str(file),)] * 2
    series = [read_series(source, MR) for source in found]
    assert [(one.path, len(one)) for one in series] == [(f"{file}#1", 3), (f"{file}#2", 3)]
    assert [one.instances[0].frame for one in series] == [1, 4]


def test_one_broken_file_does_not_stop_the_rest(tmp_path: Path) -> None:
    files = write_series(tmp_path)
    (tmp_path / "broken.dcm").write_bytes(bytes(128) + b"DICM" + b"\x08\x00\x05\x00CS\xff\xff")
    files[0].write_bytes(files[0].read_bytes()[:300])
    found = list(find_sources([tmp_path], MR))
    assert sorted(len(source.files) for source in found) == [1, 1, 5]
    failing = [source for source in found if source.error is not None]
    assert len(failing) == 2
    for source in failing:
        with pytest.raises(SKDError) as caught:
            read_series(source, MR)
        assert caught.value.thing == source.path


def test_a_folder_that_may_not_be_read_is_a_failure(tmp_path: Path, monkeypatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    (source,) = find_sources([tmp_path], MR)
    assert source.error is not None
    assert source.error.code == "not_found"


def disc(folder: Path) -> Path:
    """A DICOMDIR with one axial MR series of six slices."""
    written = write_series(folder / "written", StudyDate="20200101", StudyTime="120000", StudyID="1", SeriesNumber=1)
    files = FileSet()
    for path in written:
        files.add(path)
    files.write(folder / "disc")
    return folder / "disc" / "DICOMDIR"


def test_a_dicomdir_stands_for_its_files(tmp_path: Path) -> None:
    path = disc(tmp_path)
    (source,) = find_sources([path], MR)
    assert len(source.files) == 6
    assert len(read_series(source, MR)) == 6
    assert len(list(find_sources([path], CXR))) == 6


def test_a_folder_with_a_dicomdir_lists_no_file_twice(tmp_path: Path) -> None:
    path = disc(tmp_path)
    for recursive in (False, True):
        found = list(find_sources([path.parent], MR, recursive=recursive))
        assert [len(source.files) for source in found] == [6]
        assert len(read_series(found[0], MR)) == 6
        assert len(list(find_sources([path.parent], CXR, recursive=recursive))) == 6


def test_real_folders_end_as_sources(shared: Path) -> None:
    skipped: list[str] = []
    found = list(find_sources([shared / "data/dicom"], CT, recursive=True, on_skip=skipped.append))
    assert {Path(path).name for path in skipped} == {"README.md", "manifest.csv"}
    assert sum(len(source.files) == 12 for source in found) == 1
    assert sum(len(source.files) == 20 for source in found) == 1


@pytest.mark.parametrize("suffix", ["png", "nii", "mha", "IMA"])
def test_dicom_is_known_by_its_content_whatever_its_name(tmp_path: Path, suffix: str) -> None:
    for number, path in enumerate(write_series(tmp_path / "made", (3, 5, 4))):
        (tmp_path / f"{number}.{suffix}").write_bytes(path.read_bytes()[132:])  # without a preamble, as older software
    (found,) = find_sources([tmp_path], MR)
    assert len(read_series(found, MR)) == 3
