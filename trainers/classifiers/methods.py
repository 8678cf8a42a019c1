"""The methods by name: what a recipe calls them, what tables call them, and what each may know."""

from __future__ import annotations

METHOD_NAMES = {
    "erm": "ERM",
    "usb": "USB",
    "asb": "ASB",
    "ffr": "FFR",
    "aspire-erm": "ASPIRE+ERM",
    "aspire-dfr": "ASPIRE+DFR",
    "balanced-real": "Balanced real",
}
"""Every method's displayed name, in the order in which tables introduce them."""

METHODS = tuple(METHOD_NAMES)
PER_GROUP = ("usb", "asb", "ffr")
"""Methods that add as many synthetic samples of every (y, b) as docs/methods.md#counts-of-synthetic-samples says."""
ASPIRE = ("aspire-erm", "aspire-dfr")
"""Methods that add spurious-free samples, as many of every class, their bias attribute unknown.

See docs/methods.md#aspire-erm-and-aspire-dfr.
"""

SELECTIONS = ("auto", "worst-group", "worst-class", "synthetic-validation")
DFR_GROUPS = ("discovered", "true")
DFR_SYNTHETIC = ("all", "grouped")


def method_name(method: str, dfr_groups: str = "discovered") -> str:
    """Return what tables call ``method``; a name that nobody knows stays as it is.

    ASPIRE+DFR over labelled groups says so: its figures aren't those of a method without bias labels.
    """
    name = METHOD_NAMES.get(method, method)
    return f"{name} (true groups)" if (method, dfr_groups) == ("aspire-dfr", "true") else name
