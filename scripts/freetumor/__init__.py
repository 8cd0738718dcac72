"""Synthetic tumors in medical imaging: the library behind the workflow.

The stages are sub-packages, in the order in which data flows through them: ``core`` (what every stage stands on),
``download``, ``preprocessing``, ``synthesizer``, ``synthesis``, ``recognition``, ``evaluation``, ``figures``.
A stage never imports a later one.
"""

__version__ = "0.1.0"
