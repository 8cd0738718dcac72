"""A pin that is not honored is said aloud."""

import pytest

from freetumor.core import pins


@pytest.fixture
def lock(tmp_path, monkeypatch):
    monkeypatch.setattr(pins, "installed_versions", lambda: {"torch": "2.13.0+cpu", "SimpleITK": "2.5.7", "numpy": "2.4.6"})
    path = tmp_path / "requirements.lock"
    path.write_text("# pins\nnumpy==2.4.6\nsimpleitk==2.5.7\ntorch==2.13.0\n")
    return path


def test_honored_pins_are_silent(lock, capsys):
    assert pins.other_versions(lock) == {}
    pins.warn_of_other_versions(lock)
    assert capsys.readouterr().err == ""


def test_another_version_is_named_with_both_numbers(lock, capsys):
    lock.write_text(lock.read_text().replace("simpleitk==2.5.7", "simpleitk==2.5.6"))
    assert pins.other_versions(lock) == {"SimpleITK": ("2.5.7", "2.5.6")}
    pins.warn_of_other_versions(lock)
    assert "SimpleITK 2.5.7 is installed, but requirements.lock pins 2.5.6" in capsys.readouterr().err


def test_the_library_alone_has_no_pins(tmp_path):
    assert pins.other_versions(tmp_path / "requirements.lock") == {}


def test_the_environment_of_the_tests_honors_the_lock():
    assert pins.other_versions() == {}
