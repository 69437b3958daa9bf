"""Studies: a question, from data to verdict; STUDIES is the table."""

from __future__ import annotations

from collections.abc import Mapping

# Name on the command line -> where its settings are: a frozen dataclass, every field of which a study file may give.
STUDIES: Mapping[str, str] = {
    "vulnerability-detection": "steerlab.studies.detection_material:DetectionSettings",
    "secure-code": "steerlab.studies.secure_settings:SecureCodeSettings",
    "code-correctness": "steerlab.studies.correctness_material:CorrectnessSettings",
}
