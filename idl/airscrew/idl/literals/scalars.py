"""
The literals of one value, made by their kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airscrew.idl.literals import names
from airscrew.idl.struct_fields import json_to_struct

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import Literal
    from flyteidl.core.types_pb2 import BlobType, LiteralType, SchemaType, StructuredDatasetType

_SIMPLE_TAGS = {
    names.NONE: "none",
    names.INTEGER: "int",
    names.FLOAT: "float",
    names.STRING: "str",
    names.BOOLEAN: "bool",
    names.DATETIME: "datetime",
    names.DURATION: "timedelta",
}
"""The names of the SDKs' own transformers, which they find the variant of a union by."""


def primitive(**value: Any) -> Literal:  # noqa: ANN401 - each field has a type of its own
    """Make a primitive, the value given by the name of its field."""
    from flyteidl.core.literals_pb2 import Literal, Primitive, Scalar

    return Literal(scalar=Scalar(primitive=Primitive(**value)))


def none() -> Literal:
    """Make none."""
    from flyteidl.core.literals_pb2 import Literal, Scalar, Void

    return Literal(scalar=Scalar(none_type=Void()))


def binary(value: bytes, tag: str) -> Literal:
    """Make bytes with the tag of their encoding."""
    from flyteidl.core.literals_pb2 import Binary, Literal, Scalar

    return Literal(scalar=Scalar(binary=Binary(value=value, tag=tag)))


def generic(value: Mapping[str, object]) -> Literal:
    """
    Make a Struct.

    Raises:
        ValueError: It holds something that is not JSON.
    """
    from flyteidl.core.literals_pb2 import Literal, Scalar

    return Literal(scalar=Scalar(generic=json_to_struct(value)))


def error(message: str, failed_node_id: str) -> Literal:
    """Make an error."""
    from flyteidl.core.literals_pb2 import Literal, Scalar
    from flyteidl.core.types_pb2 import Error

    return Literal(scalar=Scalar(error=Error(message=message, failed_node_id=failed_node_id)))


def blob(uri: str, blob_type: BlobType) -> Literal:
    """Make a file or a folder."""
    from flyteidl.core.literals_pb2 import Blob, BlobMetadata, Literal, Scalar

    return Literal(scalar=Scalar(blob=Blob(uri=uri, metadata=BlobMetadata(type=blob_type))))


def schema(uri: str, schema_type: SchemaType) -> Literal:
    """Make a schema."""
    from flyteidl.core.literals_pb2 import Literal, Scalar, Schema

    return Literal(scalar=Scalar(schema=Schema(uri=uri, type=schema_type)))


def structured_dataset(uri: str, dataset_type: StructuredDatasetType) -> Literal:
    """Make a structured dataset."""
    from flyteidl.core.literals_pb2 import Literal, Scalar, StructuredDataset, StructuredDatasetMetadata

    metadata = StructuredDatasetMetadata(structured_dataset_type=dataset_type)
    return Literal(scalar=Scalar(structured_dataset=StructuredDataset(uri=uri, metadata=metadata)))


def union(value: Literal, variant: LiteralType) -> Literal:
    """Make a union: the value and which variant it is of, with the tag that the SDKs look for."""
    from flyteidl.core.literals_pb2 import Literal, Scalar, Union

    return Literal(scalar=Scalar(union=Union(value=value, type=tagged(variant))))


def tagged(variant: LiteralType) -> LiteralType:
    """Give a variant with a tag: its own, or the SDKs' for a simple type that has none."""
    from flyteidl.core.types_pb2 import LiteralType

    if variant.structure.tag or variant.WhichOneof("type") != "simple" or variant.simple not in _SIMPLE_TAGS:
        return variant
    with_tag = LiteralType()
    with_tag.CopyFrom(variant)
    with_tag.structure.tag = _SIMPLE_TAGS[variant.simple]
    return with_tag
