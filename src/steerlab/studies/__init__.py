"""Studies: a question, from data to verdict; STUDIES is the table."""

from __future__ import annotations

from collections.abc import Mapping

# Name on the command line -> module that has Settings and run().
STUDIES: Mapping[str, str] = {"vulnerability-detection": "steerlab.studies.vulnerability_detection"}
