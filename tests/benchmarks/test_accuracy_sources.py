"""Leaving one collection out of the training."""

from accuracy.sources import mixed, section, short, without

from MonaiSKD.datasets.cases import Case, DataList

DATA = DataList(
    (
        Case("a", "sick", "train", "p", "x/one (copy)"),
        Case("b", "well", "val", "q", "x/one (copy)"),
        Case("c", "sick", "train", "r", "y/two"),
        Case("d", "well", "test", "s", "y/two"),
        Case("e", "well", "train", "t", "z/three"),
    ),
    ("sick", "well"),
)


def test_collections_of_one_class_cannot_be_asked():
    assert mixed(DATA) == ["x/one (copy)", "y/two"]
    assert short("x/one (copy)") == "x/one"


def test_all_images_of_the_collection_are_test_images_and_no_others():
    divided = without(DATA, "x/one (copy)")
    assert [(case.path, case.split) for case in divided.cases] == [
        ("c", "train"), ("e", "train"), ("a", "test"), ("b", "test"),
    ]  # fmt: skip


def test_nothing_measured_is_said():
    assert section([]) == "Not measured yet."
