"""
How inputs are spoilt: byte by byte, field by field of a message, place by place of a JSON tree.

Every mutation is a function of the seed and of a number, so that an example is the same whenever it is made again.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from hypothesis import strategies as st

TEXTS = (
    "",
    "\0",
    "a\nb",
    " ",
    "é\u202e🚀",
    "x" * 3000,
    "../../etc/passwd",
    "{{.input.x}}",
    "9" * 5000,
    "-1",
    "1e999",
    "nan",
    "0",
    "s3://bucket/key",
    "file:///nowhere/at/all",
    "data:,",
    "2001-99-99T99:99:99Z",
    "9999-12-31T23:59:59.999999999Z",
    "0001-01-01T00:00:00Z",
    "[]",
    "null",
    '{"resources": [1], "container_image": 5, "config": null}',
    '{"a": NaN}',
)
NUMBERS = (0, 1, -1, 2, 127, 128, 255, 1000, 2**31 - 1, -(2**31), 2**32 - 1, 2**53, 2**63 - 1, -(2**63), 2**64 - 1)
FLOATS = (0.0, -1.0, 0.5, 1e-300, 1e300, -1e18, float("inf"), float("-inf"), float("nan"))
BYTES = (
    b"\x91" * 2000,
    b"\xa4\xff\xfe\xfd\xfc",
    b"",
    b"\0",
    b"\xff\xff",
    b"\x80",
    b"\x0a\x7f",
    b"\xff" * 10,
    b"{}",
    b"\x1f\x8b",
    b"\xef\xbb\xbf",
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    *NUMBERS,
    *FLOATS[:6],
    *TEXTS,
    "@DEEP@",
    [],
    {},
    [[]],
    {"": {}},
    [None, 1, "a"],
)

MOST = 6
"""Mutations of one input."""

NUMBERED = st.integers(0, 2**48)
TIMES = st.sampled_from((1, 1, 1, 2, 3, MOST))


def spoilt_bytes(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Real bytes with a few bytes changed, cut out, doubled or put in; and bytes that were never anything."""
    return weighted((5, st.builds(spoil_bytes, _of(seeds), NUMBERED, TIMES)), (1, st.binary(max_size=300)))


def weighted(*choices: tuple[int, st.SearchStrategy[bytes]]) -> st.SearchStrategy[bytes]:
    """Take the one so much more often than the other; ``one_of`` drops what it is given twice."""
    places = [strategy for weight, strategy in choices for _ in range(weight)]
    return st.integers(0, len(places) - 1).flatmap(places.__getitem__)


def spoil_bytes(data: bytes, number: int, times: int) -> bytes:
    """Change some bytes."""
    random, made = Random(number), bytearray(data)
    for _ in range(times):
        at = random.randrange(len(made) + 1)
        match random.randrange(6):
            case 0 if at < len(made):
                made[at] ^= 1 << random.randrange(8)
            case 1 if at < len(made):
                made[at] = random.randrange(256)
            case 2:
                made[at:at] = random.choice(BYTES)
            case 3:
                del made[at : at + random.choice((1, 2, 8, 64))]
            case 4:
                made[at:at] = made[at : at + random.choice((1, 4, 32))] * random.choice((1, 2, 50))
            case _ if random.random() < 0.2:
                del made[at:]
            case _:
                made[at : at + 1] = random.randbytes(2)
    return bytes(made)


def spoilt_messages(kind: type[Message], seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Real messages with fields taken away, doubled, or given values that nobody thought of."""
    return st.builds(lambda seed, number, times: spoil_message(kind, seed, number, times), _of(seeds), NUMBERED, TIMES)


def _of(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    return st.sampled_from(list(seeds))


def spoil_message(kind: type[Message], data: bytes, number: int, times: int) -> bytes:
    """Change some fields of a message."""
    message, random = kind(), Random(number)
    try:
        message.ParseFromString(data)
    except DecodeError:
        return data
    for _ in range(times):
        _spoil_field(random.choice(list(_parts(message))), random)
    return message.SerializeToString()


def _parts(message: Message, depth: int = 0) -> Iterator[Message]:
    """A message and all that it is made of."""
    yield message
    if depth > 20:
        return
    for field, value in message.ListFields():
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            continue
        if _of_field(field).GetOptions().map_entry:
            if _of_field(field).fields_by_name["value"].type == FieldDescriptor.TYPE_MESSAGE:
                for key in value:
                    yield from _parts(value[key], depth + 1)
        else:
            for part in value if field.is_repeated else (value,):
                yield from _parts(part, depth + 1)


def _of_field(field: FieldDescriptor) -> Descriptor:
    assert field.message_type is not None
    return field.message_type


def _spoil_field(message: Any, random: Random) -> None:
    fields = message.DESCRIPTOR.fields
    if not fields:
        return
    field = random.choice(fields)
    if random.random() < 0.25:
        message.ClearField(field.name)
    elif field.type == FieldDescriptor.TYPE_MESSAGE and _of_field(field).GetOptions().map_entry:
        _spoil_map(getattr(message, field.name), field, random)
    elif field.is_repeated:
        _spoil_list(getattr(message, field.name), field, random)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, _scalar(field, random))


def _spoil_map(entries: Any, field: FieldDescriptor, random: Random) -> None:
    of_key, of_value = _of_field(field).fields_by_name["key"], _of_field(field).fields_by_name["value"]
    known = list(entries)
    key = random.choice(known) if known and random.random() < 0.6 else _scalar(of_key, random)
    if key in entries and random.random() < 0.3:
        del entries[key]
    elif of_value.type == FieldDescriptor.TYPE_MESSAGE:
        if known and random.random() < 0.5:
            entries[key].CopyFrom(entries[random.choice(known)])
        else:
            _spoil_field(entries[key], random)
    else:
        entries[key] = _scalar(of_value, random)


def _spoil_list(items: Any, field: FieldDescriptor, random: Random) -> None:
    if items and random.random() < 0.3:
        del items[random.randrange(len(items))]
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        added = items.add()
        if len(items) > 1:
            added.CopyFrom(items[0])
        _spoil_field(added, random)
    else:
        items.extend([_scalar(field, random)] * random.choice((1, 2, 100)))


_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (0, 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def _scalar(field: FieldDescriptor, random: Random) -> object:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_BOOL:
            return random.random() < 0.5
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return random.choice((*BYTES, random.randbytes(20)))
        case FieldDescriptor.CPPTYPE_STRING:
            return random.choice(TEXTS)
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return random.choice(FLOATS)
        case kind:
            least, most = _RANGES[kind]
            return random.choice([number for number in NUMBERS if least <= number <= most])


def spoilt_trees(seeds: Sequence[object], dump: Callable[[object], bytes]) -> st.SearchStrategy[bytes]:
    """Real JSON trees with places taken away, moved, or given values of other kinds; written by ``dump``."""
    trees = st.builds(spoil_tree, st.sampled_from([json.dumps(seed) for seed in seeds]), NUMBERED, TIMES)
    return trees.map(dump)


def spoil_tree(text: str, number: int, times: int) -> object:
    """Change some places of a JSON tree."""
    random, holder = Random(number), {"root": json.loads(text)}
    for _ in range(times):
        holders = [one for one in _holders(holder) if one]
        place = random.choice(holders)
        key: Any = random.choice(list(place)) if isinstance(place, dict) else random.randrange(len(place))
        others = random.choice(holders)
        match random.randrange(6):
            case 0 if place is not holder:
                del place[key]
            case 1 if isinstance(place, dict) and place is not holder:
                place[random.choice(TEXTS)] = place.pop(key)
            case 2:
                inner: object = place[key]
                for _ in range(random.choice((1, 3, 40))):
                    inner = [inner] if random.random() < 0.5 else {"a": inner}
                place[key] = inner
            case 3:
                place[key] = copy.deepcopy(random.choice(list(others.values() if isinstance(others, dict) else others)))
            case 4 if isinstance(place, list):
                place.extend([copy.deepcopy(place[key])] * random.choice((1, 3)))
            case _:
                place[key] = copy.deepcopy(random.choice(VALUES))
    return holder.get("root")


def _holders(tree: object) -> list[Any]:
    """Every list and object of a tree."""
    found, left = list[Any](), [tree]
    while left:
        one = left.pop()
        if isinstance(one, dict | list):
            found.append(one)
            left.extend(one.values() if isinstance(one, dict) else one)
    return found
