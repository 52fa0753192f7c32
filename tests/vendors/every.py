"""Everyone who sits the exams: each file beside this one that has an `Examinee`, and each `Vendor` in it."""

from __future__ import annotations

import importlib
import os
import pkgutil

import tests.vendors
from tests.vendors.examinee import Examinee
from tests.vendors.vendor import Vendor

FOUND = [
    value
    for module in pkgutil.iter_modules(tests.vendors.__path__)
    if module.name != "every"
    for value in vars(importlib.import_module(f"tests.vendors.{module.name}")).values()
]
EXAMINEES = tuple(value for value in FOUND if isinstance(value, Examinee))
"""One for every destination there is: `test_wire.py` checks."""
WHOLE = os.environ.get("OCTO_PROVE") == "all"
VENDORS = tuple(value for value in FOUND if isinstance(value, Vendor) and (WHOLE or not value.whole_only))
"""Each way of writing that the engine's exam and the proofs go through."""
