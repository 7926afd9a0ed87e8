"""Quiet: pydicom neither warns of odd values nor logs them, for what it says has patients' data in it."""

import logging

from pydicom import config


def quiet() -> None:
    """Make pydicom take values as they are, in the whole process."""
    config.settings.reading_validation_mode = config.IGNORE
    config.settings.writing_validation_mode = config.IGNORE
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
