"""The tab "Classify" while a server is chosen, which a test answers for."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from classify_desk import Desk, open_desk
from classify_parts import ct_values
from harness import wait_until
from SKDClassifierLib.classify import Exports
from SKDClassifierLib.scene import Inputs

from MonaiSKD.errors import SKDError
from MonaiSKD.runtime import Failure, Result


@pytest.fixture
def desk(app, tmp_path):
    yield from open_desk(app, tmp_path)


class TestOnAServer:
    """The same tab while a server is chosen."""

    @pytest.fixture
    def far(self, desk, add_volume) -> Desk:
        desk.choose(add_volume(ct_values(), name="chest"), "tiny_lung_ct")
        local = desk.classify().result
        desk.services.server.answer = lambda model, file: local
        desk.services.server.choose(True)
        desk.local = local
        return desk

    def test_its_models_are_offered_and_its_answer_is_marked(self, far):
        assert far.tab.chooser.entry.id == "far_model"
        assert "http://10.0.0.1:8000" in far.tab.ui.modelInfo.text
        stored = far.classify()
        assert far.errors == []
        assert stored.source == "http://10.0.0.1:8000"
        assert stored.heat_node is None
        assert "answered by http://10.0.0.1:8000" in far.tab.view.ui.captionLabel.text
        assert len(stored.points_ras) == 6
        (sent,) = far.services.server.sent
        assert sent[0] == "far_model"
        assert sent[1].endswith(".nii.gz")
        assert not Path(sent[1]).exists()

    def test_the_server_is_the_one_that_was_chosen_at_the_click(self, far, monkeypatch):
        write, server = Exports.write_image, far.services.server

        def change(captured: Any, path: Path) -> Path:
            server.url = "http://10.0.0.2:8000"
            return write(captured, path)

        monkeypatch.setattr(Exports, "write_image", change)
        stored = far.classify()
        assert far.errors == []
        assert (server.asked, stored.source) == (["http://10.0.0.1:8000"], "http://10.0.0.1:8000")

    def test_what_is_sent_is_the_volume_in_its_place(self, far, tmp_path):
        import SimpleITK as sitk

        far.classify()
        (tmp_path / "sent.nii.gz").write_bytes(far.services.server.sent[0][2])
        image = sitk.ReadImage(str(tmp_path / "sent.nii.gz"))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), ct_values())
        lps = image.TransformContinuousIndexToPhysicalPoint((3.0, 2.0, 1.0))
        np.testing.assert_allclose([-lps[0], -lps[1], lps[2]], [-3.0, -2.0, 1.0], atol=1e-4)

    def test_nothing_is_sent_without_consent(self, far):
        far.services.server.agrees = False
        before = far.tab.view.stored
        far.press()
        assert far.services.server.sent == []
        assert far.tab.view.stored is before
        assert "nothing was installed or sent" in far.hint

    def test_a_server_that_breaks_off_is_told(self, far):
        def gone(model: str, file: Path) -> Any:
            raise SKDError("http://10.0.0.1:8000", "broke off in the middle of its answer", "Look into its log")

        before = slicer.mrmlScene.GetNumberOfNodes()
        far.services.server.answer = gone
        far.classify()
        assert "broke off" in str(far.errors[0])
        assert "broke off" in far.hint
        assert slicer.mrmlScene.GetNumberOfNodes() == before
        far.errors.clear()
        far.services.server.answer = lambda model, file: far.local
        assert far.classify().source

    def test_a_failure_of_the_server_is_an_error_here(self, far):
        far.services.server.answer = lambda model, file: Failure("image.nii.gz", "damaged", "it ends", "Copy it again")
        far.classify()
        assert str(far.errors[0]) == "chest: it ends. Copy it again."

    def test_a_stock_answer_is_not_called_reliable(self, far):
        from SKDClassifierLib.place.Server import _stock

        far.services.server.answer = lambda model, file: _stock(
            [{"label": "dark", "score": 0.8}, {"label": "bright", "score": 0.2}], model
        )
        stored = far.classify()
        assert isinstance(stored.result, Result)
        assert "NOT KNOWN TO BE RELIABLE" in far.tab.view.ui.noticeLabel.text
        assert not far.tab.view.ui.noticeLabel.isHidden()
        assert far.tab.view.ui.classTable.item(0, 2).text() == "–"

    def test_the_one_dicom_file_goes_as_it_is(self, far, monkeypatch, tmp_path):
        file = tmp_path / "one.dcm"
        file.write_bytes(b"as it is")
        monkeypatch.setattr(Inputs, "dicom_files", lambda node, database: (str(file),))
        far.classify()
        assert far.services.server.sent[0][1:] == (str(file), b"as it is")

    def test_cancel_does_not_wait_for_the_server(self, far):
        hold = threading.Event()
        far.services.server.answer = lambda model, file: hold.wait(20) and far.local
        nodes = slicer.mrmlScene.GetNumberOfNodes()
        far.press()
        wait_until(lambda: far.services.server.sent)
        far.press()
        assert far.idle
        hold.set()
        wait_until(lambda: not any(one.name == "MonaiSKD task" for one in threading.enumerate()))
        assert slicer.mrmlScene.GetNumberOfNodes() == nodes
