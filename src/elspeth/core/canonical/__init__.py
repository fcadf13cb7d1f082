"""One byte form for every value: for hashing (RFC 8785 canonical JSON) and for storage (exact JSON).

Both forms are JSON. What JSON lacks has one tagged form in both, e.g. ``{"$elspeth":["decimal","1.50"]}``;
a user's own dict with that key is wrapped, so that nothing can imitate a tag.

=============================  ==========================================  =======================
value                          in the hash                                 comes back from storage
=============================  ==========================================  =======================
str, bool, None, int < 2^53    itself                                      itself
float                          as ECMAScript writes it: 5.0 is 5, -0.0 is  itself, sign and type
                               0, so 5 and 5.0 hash alike                  included
int of 2^53 and more           tag ``int``                                 itself
Decimal (finite)               tag ``decimal``, 1.50 is not 1.5            itself
date, time, datetime           tags, ISO 8601; offset and microseconds     itself; a named zone becomes
                               kept                                        its offset
bytes, UUID                    tags ``bytes`` (base64), ``uuid``           itself
list, dict with str keys       itself, dicts sorted                        itself, order kept
tuple                          as a list                                   as a list
=============================  ==========================================  =======================

All else is a CanonicalError that names the field: NaN, infinity, lone surrogates, keys that are not
str, more than 200 levels, and every other type. Subclasses count as other types (IntEnum, numpy
scalars, OrderedDict): they would lose their type in silence.
"""

from elspeth.core.canonical.hashing import canonical, canonical_row, digest, row_digest
from elspeth.core.canonical.plain import PLAIN_OPTIONS, plain_keys, plain_values
from elspeth.core.canonical.storage import dump, dump_values, load, load_values

__all__ = [
    "PLAIN_OPTIONS",
    "canonical",
    "canonical_row",
    "digest",
    "dump",
    "dump_values",
    "load",
    "load_values",
    "plain_keys",
    "plain_values",
    "row_digest",
]
