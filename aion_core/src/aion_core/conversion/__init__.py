"""Strict conversion between typed values and JSON's plain ones: the rules, as cattrs hooks.

cattrs coerces by default; nothing here does. What payloads are, and how errors are told, is in
`aion_core.payloads`. ``converter`` puts the hooks together; ``fast`` has what spares most of them:
functions that ``compiled`` makes, of classes as ``parts`` describes them. Each other module is one
family of types; ``misfits`` is what they share.
"""

from aion_core.conversion.converter import strict_converter
from aion_core.conversion.fast import FastConversion, NamedTypes
from aion_core.conversion.misfits import type_name
from aion_core.conversion.registered import add_type

__all__ = ["FastConversion", "NamedTypes", "add_type", "strict_converter", "type_name"]
