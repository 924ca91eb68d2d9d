"""The whole standard file as data: `/entry` and `/entry_1` over the same bytes (ADR 0003)."""

from __future__ import annotations

from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.cxi_tree import cxi_datasets, cxi_groups, cxi_soft_links
from stream_service.standard_file.schema.entry_tree import entry_datasets, entry_groups, entry_soft_links
from stream_service.standard_file.schema.header import FileHeader
from stream_service.standard_file.schema.row_columns import row_column_specs
from stream_service.standard_file.schema.spec import Tree


def standard_tree(header: FileHeader) -> Tree:
    """Everything that a file with this header will ever contain, apart from values."""
    return Tree(
        groups={"/": {"default": paths.CXI_ENTRY.strip("/")}, **cxi_groups(header), **entry_groups(header)},
        datasets=(
            *cxi_datasets(header),
            *entry_datasets(header),
            *row_column_specs(header.frame_shape, header.frames_per_row),
        ),
        soft_links={**cxi_soft_links(), **entry_soft_links()},
    )
