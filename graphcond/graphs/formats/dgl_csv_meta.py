"""``meta.yaml`` of DGL's CSV folders, with the defaults of `dgl.data.CSVDataset`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from graphcond.errors import InputError
from graphcond.files import read_text
from graphcond.graphs.groups.base import PLAIN

META = "meta.yaml"

_Kind = Annotated[str, AfterValidator(lambda name: PLAIN if name in ("_V", "_E") else name)]
"""A type; DGL calls it ``_V`` or ``_E`` where there is one."""


class TableMeta(BaseModel):
    """One table."""

    model_config = ConfigDict(frozen=True)
    file_name: str
    graph_id_field: str = "graph_id"


class NodesMeta(TableMeta):
    """The nodes of one type."""

    ntype: _Kind = PLAIN
    node_id_field: str = "node_id"


class EdgesMeta(TableMeta):
    """The edges of one type: source, relation and target."""

    etype: tuple[_Kind, _Kind, _Kind] = (PLAIN, PLAIN, PLAIN)
    src_id_field: str = "src_id"
    dst_id_field: str = "dst_id"


class Meta(BaseModel):
    """The content of ``meta.yaml``."""

    model_config = ConfigDict(frozen=True)
    version: Literal["1.0.0"] = "1.0.0"
    separator: str = Field(",", min_length=1, max_length=1)
    node_data: tuple[NodesMeta, ...] = Field(min_length=1)
    edge_data: tuple[EdgesMeta, ...]


def read_meta(folder: Path) -> Meta:
    """Read ``meta.yaml``.

    Raises:
        InputError: it is missing, no YAML, or something in it is missing or wrong.
    """
    file = folder / META
    try:
        return Meta.model_validate(yaml.safe_load(read_text(file)))
    except yaml.YAMLError as error:
        raise InputError(f"is no YAML ({str(error).splitlines()[0]})", place=file, remedy="mend it") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        raise InputError(f"'{where}': {first['msg']}", place=file, remedy="mend it") from None
