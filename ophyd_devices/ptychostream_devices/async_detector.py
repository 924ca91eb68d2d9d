"""The writer of raw files for ophyd-async detectors, with a layout that survives; needs the extra `[async]`.

ophyd-async's own HDF5 logic empties XMLFileName, so that a beamline's layout would be lost without a word. This one
puts the layout back before the first frame: with LazyOpen the plugin reads it when the file is opened. The streaming
service is the same `StreamServiceDevice` as beside classic ophyd devices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from ophyd_async.core import PathProvider, SignalR, SignalRW, StreamableDataProvider, StreamResourceDataProvider
from ophyd_async.epics.adcore import (
    ADBaseIO,
    ADHDFDataLogic,
    ADWriterFactory,
    NDFileHDF5IO,
    NDPluginBaseIO,
)
from ophyd_async.epics.core import PvSuffix

from ptychostream_devices.raw_file_layout import LayoutError, RawFileLayout

NDATTRIBUTE_FOLDER = "/entry/instrument/NDAttributes/"


class LayoutHDF5IO(NDFileHDF5IO):
    """NDFileHDF5 with the PVs that tell what became of a layout, and when columns become visible."""

    xml_valid: Annotated[SignalR[bool], PvSuffix("XMLValid_RBV")]
    xml_error_msg: Annotated[SignalR[str], PvSuffix("XMLErrorMsg_RBV")]
    nd_attribute_chunk: Annotated[SignalRW[int], PvSuffix.rbv("NDAttributeChunk")]
    num_frames_flush: Annotated[SignalRW[int], PvSuffix.rbv("NumFramesFlush")]


@dataclass
class LayoutHDFDataLogic(ADHDFDataLogic):
    """ophyd-async's HDF5 logic, and then the layout."""

    layout: RawFileLayout | None = None

    async def prepare_unbounded(self, datakey_name: str) -> StreamableDataProvider:
        """Start the capture; raises `LayoutError` if the IOC does not take the layout."""
        writer = self.writer
        assert isinstance(writer, LayoutHDF5IO), "the factory below makes it so"
        await writer.nd_attribute_chunk.set(1)  # else positions stay invisible to readers for 16384 frames
        await writer.num_frames_flush.set(1)
        provider = await super().prepare_unbounded(datakey_name)
        if self.layout is None:
            return provider
        await writer.xml_file_name.set(self.layout.for_record())
        if not await writer.xml_valid.get_value():
            await self.stop()
            raise LayoutError(
                f"{writer.name} does not take the layout {self.layout.path}: {await writer.xml_error_msg.get_value()}. "
                "The IOC reads the file itself: is the path the same there?"
            )
        assert isinstance(provider, StreamResourceDataProvider)
        return _placed(provider, self.layout.datasets(), writer)


def _placed(
    provider: StreamResourceDataProvider, datasets: Mapping[str, str], writer: LayoutHDF5IO
) -> StreamResourceDataProvider:
    """The same documents, with the NDAttributes where the layout puts them."""
    resources = []
    for resource in provider.resources:
        dataset = str(resource.parameters.get("dataset", ""))
        if dataset.startswith(NDATTRIBUTE_FOLDER):
            name = dataset.removeprefix(NDATTRIBUTE_FOLDER)
            parameters = {**resource.parameters, "dataset": datasets.get(name, dataset)}
            resource = replace(resource, parameters=parameters, chunk_shape=(1,))
        resources.append(resource)
    return StreamResourceDataProvider(
        uri=provider.uri,
        resources=resources,
        mimetype="application/x-hdf5",
        collections_written_signal=writer.num_captured,
        flush_signal=writer.flush_now,
    )


def layout_writer(
    path_provider: PathProvider, layout: RawFileLayout | None, suffix: str = "HDF1:"
) -> ADWriterFactory[LayoutHDF5IO]:
    """Writer that an ophyd-async detector takes beside its prefix: `SimDetector("SIM:", layout_writer(paths, layout))`.

    Without a layout the plugin gets its default one, as always with ophyd-async.
    """

    def logic(writer: LayoutHDF5IO, description: Any, driver: ADBaseIO, plugins: Sequence[NDPluginBaseIO]) -> Any:
        return LayoutHDFDataLogic(
            array_description=description,
            path_provider=path_provider,
            writer=writer,
            driver=driver,
            plugins=list(plugins),
            layout=layout,
        )

    return ADWriterFactory(
        writer_cls=LayoutHDF5IO,
        writer_suffix=suffix,
        writer_name="hdf",
        datakey_suffix="",
        array_description=None,
        data_logic_factory=logic,
    )
