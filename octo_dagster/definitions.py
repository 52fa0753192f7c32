"""Where Dagster comes in: the project of this process as assets.

OCTO_PROJECT and OCTO_HOME say which project. OCTO_AS_OF is the day scores are for, where that is not today.
OCTO_AUTOMATE=1 switches schedules and sensors on from the start; without it a person does, in the UI.
"""

import os

from assets.factory import definitions
from assets.resources import Setup
from octo_dagster.config import Project

defs = definitions(
    Setup(
        Project.here(), as_of=os.environ.get("OCTO_AS_OF") or None, on=os.environ.get("OCTO_AUTOMATE") == "1"
    )
)
