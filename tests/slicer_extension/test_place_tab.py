"""Where classifying runs: the choice, the test of a server, the consent, the packages."""

from __future__ import annotations

from typing import Any

import pytest
from harness import wait_until
from label_server import LINE, Behaviour
from PySide6.QtTest import QTest
from SKDClassifierLib.jobs.Jobs import BackgroundTask
from SKDClassifierLib.place import Place, PlaceTab
from SKDClassifierLib.place.Install import WHEELS_SETTING, Installer
from SKDClassifierLib.place.Server import Connection
from SKDClassifierLib.Protocols import Services

from MonaiSKD.errors import SKDError

FAR = "http://hospital.example:8000"
READY = Connection("ready", "is ready", {"chest": ("normal", "pneumonia")})


class Everything(Installer):
    """Of an environment that has all."""

    def missing_light(self) -> list[Any]:
        return []

    def missing_training(self) -> list[Any]:
        return []


@pytest.fixture
def place(app: Any) -> Place.Place:
    return Place.Place(app.settings)


@pytest.fixture
def shown() -> list[Exception]:
    return []


@pytest.fixture
def tab(app: Any, place: Place.Place, shown: list[Exception]) -> PlaceTab.PlaceTab:
    unused: Any = None
    services = Services(
        logic=unused,
        catalogue=unused,
        installer=Everything(app.settings),
        server=place,
        settings=app.settings,
        background=BackgroundTask,
        child=unused,
        show_error=shown.append,
        use_model=unused,
    )
    return PlaceTab.PlaceTab(services, place)


def state_after(tab: PlaceTab.PlaceTab, url: str) -> str:
    """What a press on "Test connection" ends in."""
    tab.ui.serverButton.click()
    tab.ui.urlCombo.setEditText(url)
    assert tab.ui.testButton.enabled
    tab.ui.testButton.click()
    assert not tab.ui.testButton.enabled
    wait_until(lambda: tab.ui.testButton.enabled, 20)
    return tab.ui.stateLabel.text


def test_at_first_nothing_leaves_this_computer(tab, place):
    assert (place.remote, place.url, place.history) == (False, "", [])
    assert tab.ui.localButton.checked
    assert not tab.ui.testButton.enabled
    assert tab.ui.serverRow.isHidden()
    assert tab.ui.consentLabel.text == "No image leaves this computer."
    with pytest.raises(SKDError, match="is no address"):
        place.infer("chest", "image.png", place.url)


def test_a_ready_server_is_used_and_remembered(app, tab, place, server: Behaviour):
    said = state_after(tab, server.url)
    assert said == f"{server.url} is ready: chest, lung."
    assert place.remote
    assert dict(place.models) == {"chest": ("normal", "pneumonia"), "lung": ("a", "b")}
    assert tab.ui.consentLabel.text == "The server is this computer: no image leaves it."
    assert tab.ui.withdrawButton.isHidden()
    assert tab.ui.urlCombo.currentText == server.url
    again = Place.Place(app.settings)
    assert (again.remote, again.url, again.history) == (True, server.url, [server.url])
    tab.ui.localButton.click()
    assert not place.remote
    assert place.history == [server.url]
    assert [kind for kind, _, _ in server.seen] == ["GET"]


def test_a_server_that_is_not_ready_is_not_used(tab, place, server: Behaviour):
    server.info = (404, b"")
    assert "is no MONAI Label server" in state_after(tab, server.url)
    assert not place.remote
    server.info = (200, b'{"models": {}}')
    assert "without a model that classifies" in state_after(tab, server.url)
    assert (place.remote, place.history) == (False, [])


def test_what_is_no_address_is_told(tab, place, shown):
    tab.ui.serverButton.click()
    tab.ui.urlCombo.setEditText("ftp://x")
    tab.ui.testButton.click()
    assert "is no address of a server" in str(shown[0])
    assert tab.ui.testButton.enabled
    assert not place.remote


def test_nothing_is_sent_before_the_user_agreed(app, place, tmp_path):
    place.use_server(FAR, READY)
    with pytest.raises(SKDError, match="you have not agreed"):
        place.infer("chest", tmp_path / "image.png", FAR)
    assert not place.consent()  # the user says no
    ((kind, text),) = app.dialogs
    assert kind == "confirmOkCancelDisplay"
    assert FAR in text
    assert "name" in text
    assert not place.agreed(FAR)


def test_a_consent_is_for_one_server_is_remembered_and_can_be_withdrawn(app, tab, place):
    place.use_server(FAR, READY)
    assert "You will be asked" in tab.ui.consentLabel.text
    app.answer("confirmOkCancelDisplay", True)
    assert place.consent()
    assert place.consent()
    assert len(app.dialogs) == 1
    assert Place.Place(app.settings).agreed(FAR)
    assert not place.agreed("http://other.example:8000")
    assert tab.ui.consentLabel.text == f"You agreed that images are sent to {FAR}."
    tab.ui.withdrawButton.click()
    assert not place.agreed(FAR)
    assert tab.ui.withdrawButton.isHidden()


def test_this_computer_needs_no_consent(app, place, server: Behaviour, tmp_path):
    (tmp_path / "image.png").write_bytes(b"png")
    place.use_server(server.url, READY)
    assert place.consent()
    assert app.dialogs == []
    assert place.infer("chest", tmp_path / "image.png", server.url).label == LINE["label"]


def test_nothing_is_sent_once_this_computer_is_chosen(place, server: Behaviour, tmp_path):
    (tmp_path / "image.png").write_bytes(b"png")
    place.use_server(server.url, READY)
    place.use_this_computer()
    with pytest.raises(SKDError, match="was not sent"):
        place.infer("chest", tmp_path / "image.png", server.url)
    assert server.seen == []


def test_this_computer_chosen_while_a_server_is_tested_stays_chosen(tab, place, server: Behaviour):
    place.use_server(server.url, READY)
    server.go.clear()
    tab.ui.serverButton.click()
    tab.ui.urlCombo.setEditText(server.url)
    tab.ui.testButton.click()
    tab.ui.localButton.click()
    assert (place.remote, tab.ui.testButton.enabled, tab.ui.stateLabel.text) == (False, True, "")
    server.go.set()
    wait_until(lambda: bool(server.seen), 10)
    QTest.qWait(300)
    assert not place.remote


def test_the_latest_address_comes_first_and_few_are_kept(place):
    for number in [*range(10), 3]:
        place.use_server(f"http://h{number}.example", READY)
    assert len(place.history) == 8
    assert place.history[:2] == ["http://h3.example", "http://h9.example"]
    with pytest.raises(ValueError, match="timeout"):
        place.use_server(FAR, Connection("timeout", "", {}))


def test_packages_are_listed_and_a_folder_of_wheels_is_kept(app, tab, tmp_path):
    assert "onnxruntime" in tab.ui.packagesLabel.text
    assert not tab.ui.lightButton.enabled
    assert not tab.ui.trainingButton.enabled
    tab.ui.wheelsEdit.setCurrentPath(str(tmp_path))
    assert app.settings.value(WHEELS_SETTING) == str(tmp_path)
    tab.ui.wheelsEdit.setCurrentPath(str(tmp_path / "none"))
    assert "no such folder" in tab.ui.wheelsLabel.text
    assert not app.settings.value(WHEELS_SETTING)
    tab.ui.wheelsEdit.setCurrentPath(str(tmp_path))
    tab.ui.wheelsEdit.setCurrentPath("")
    assert (app.settings.value(WHEELS_SETTING), tab.ui.wheelsLabel.text) == ("", "")


def test_the_module_may_go_while_a_test_runs(tab, place, server: Behaviour):
    tab.ui.serverButton.click()
    tab.ui.urlCombo.setEditText(server.url)
    tab.ui.testButton.click()
    tab.cleanup()
    wait_until(lambda: bool(server.seen), 10)
    assert not place.remote
