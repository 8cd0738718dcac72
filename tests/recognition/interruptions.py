"""Stopping a training at a step, as a kill would."""

import pytest


class Interrupted(Exception):
    """The training was stopped."""


def interrupt(monkeypatch: pytest.MonkeyPatch, trainable: type, step: int) -> None:
    """Let the next training of a class stop when it is about to take ``step``."""
    original = trainable.step

    def stopping(self: object, number: int) -> dict[str, float]:
        if number == step:
            raise Interrupted
        return original(self, number)

    monkeypatch.setattr(trainable, "step", stopping)
