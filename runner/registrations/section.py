"""The base class and the common types of all sections of ``registrations.yaml``."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

LOGICAL_NAME = r"^[a-z_][a-z0-9_]*$"
COLUMN_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
#: One line of which something can be seen.
NAME = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"

LogicalName = Annotated[str, StringConstraints(pattern=LOGICAL_NAME, max_length=128)]
"""A table's or column's logical name, as Dataverse spells it: lower case."""

ColumnName = Annotated[str, StringConstraints(pattern=COLUMN_NAME, to_lower=True, max_length=128)]
"""A column in a list, where upper case is forgiven."""

SchemaName = Annotated[str, StringConstraints(pattern=COLUMN_NAME, max_length=128)]
"""A table's or column's name with capitals."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=NAME)]


class Section(BaseModel):
    """A part of the file: unknown keys are refused, nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)
