"""Wrong layouts: a good one with one problem each, and the lines and words by which lint must name it."""

from __future__ import annotations

from dataclasses import dataclass

GOOD = """\
<?xml version="1.0" encoding="UTF-8"?>
<hdf5_layout>
  <group name="entry">
    <attribute name="NX_class" source="constant" value="NXentry" type="string"/>
    <group name="data">
      <dataset name="data" source="detector" det_default="true"/>
    </group>
    <dataset name="posx" source="ndattribute" ndattribute="POSX">
      <attribute name="units" source="constant" value="um" type="string"/>
    </dataset>
    <dataset name="unique_id" source="ndattribute" ndattribute="NDArrayUniqueId"/>
    <dataset name="det_dist_m" source="constant" type="float" value="0.1"/>
    <group name="NDAttributes" ndattr_default="true"/>
    <hardlink name="frames" target="/entry/data/data"/>
  </group>
</hdf5_layout>
"""
ATTRIBUTES = """\
<Attributes>
  <Attribute name="POSX" type="EPICS_PV" source="BL:X.RBV" dbrtype="DBR_DOUBLE" description="stage x, um"/>
</Attributes>
"""

SEED_FRAGMENT = """\
<?xml version="1.0" encoding="UTF-8"?>
<hdf5_layout>
  <group name="entry">
    <group name="instrument">
      <dataset name="data" source="NDArray" type="UInt16" dims="N,Y,X"/>
    </group>
    <dataset name="mask" source="constant" type="int" value="0"/>
    <dataset name="pos" source="ndattribute" ndattribute="POS" dims="N,2" compress="none" optional="true"/>
  </group>
</hdf5_layout>
"""
"""The problems of the user's own fragment, in the lines in which ADCore's schema names them."""

DETECTOR = '<dataset name="data" source="detector" det_default="true"/>'
POSX = '<dataset name="posx" source="ndattribute" ndattribute="POSX">'
UNIQUE_ID = '<dataset name="unique_id" source="ndattribute" ndattribute="NDArrayUniqueId"/>'
DISTANCE = '<dataset name="det_dist_m" source="constant" type="float" value="0.1"/>'
LINK = '<hardlink name="frames" target="/entry/data/data"/>'
DEFAULT = '<group name="NDAttributes" ndattr_default="true"/>'


@dataclass(frozen=True, slots=True)
class WrongLayout:
    """`old` of the good layout is replaced by `new`; `expected` are level, line and words of each finding."""

    name: str
    old: str
    new: str
    expected: tuple[tuple[str, int, str], ...]
    is_refused_by_schema: bool = True
    """Whether ADCore's own schema, too, sees the problem: most of those that lose data it does not."""
    root: str = "<hdf5_layout>"

    @property
    def text(self) -> str:
        assert GOOD.count(self.old) == 1, self.old
        return GOOD.replace(self.old, self.new).replace("<hdf5_layout>", self.root)


def _wrong(
    name: str, old: str, new: str, *expected: tuple[str, int, str], schema: bool = False, root: str = "<hdf5_layout>"
) -> WrongLayout:
    return WrongLayout(name, old, new, expected, schema, root)


WRONG = (
    _wrong("not closed", "</hdf5_layout>", "", ("error", 17, "it is no XML"), schema=True),
    _wrong("quotes forgotten", 'name="entry"', "name=entry", ("error", 3, "it is no XML"), schema=True),
    _wrong("another root", "hdf5_layout>\n  <group", "layout>\n  <group", ("error", 16, "it is no XML"), schema=True),
    _wrong("source NDArray", 'source="detector"', 'source="NDArray"', ("error", 2, "no dataset takes the frames"),
           ("error", 6, 'source="NDArray" of <dataset> means nothing'), schema=True),
    _wrong("default without frames", DISTANCE, DISTANCE.replace("/>", ' det_default="true"/>'),
           ("error", 12, 'det_default, but not source="detector"')),
    _wrong("no detector", DETECTOR, "", ("error", 2, "no dataset takes the frames"),
           ("error", 14, "points to /entry/data/data, which this layout does not make")),
    _wrong("dims", POSX, POSX.replace(">", ' dims="N">'), ("error", 8, 'has no dims="N"'), schema=True),
    _wrong("compress", DETECTOR, DETECTOR.replace("/>", ' compress="lz4"/>'), ("error", 6, 'has no compress="lz4"'),
           schema=True),
    _wrong("optional", POSX, POSX.replace(">", ' optional="true">'), ("error", 8, 'has no optional="true"'),
           schema=True),
    _wrong("numpy type", DISTANCE, DISTANCE.replace("float", "float64"), ("error", 12, 'type="float64"'), schema=True),
    _wrong("OnFrame", UNIQUE_ID, UNIQUE_ID.replace("/>", ' when="OnFrame"/>'), ("error", 11, 'when="OnFrame"'),
           schema=True),
    _wrong("no source", UNIQUE_ID, '<dataset name="unique_id" ndattribute="NDArrayUniqueId"/>',
           ("error", 11, "<dataset> needs source"), schema=True),
    _wrong("no name", DISTANCE, '<dataset source="constant" type="float" value="0.1"/>',
           ("error", 12, "<dataset> needs name"), schema=True),
    _wrong("NDAttribute not named", POSX, '<dataset name="posx" source="ndattribute">',
           ("error", 8, "does not say which NDAttribute")),
    _wrong("NDAttribute twice", UNIQUE_ID,
           UNIQUE_ID + '<dataset name="x" source="ndattribute" ndattribute="POSX"/>',
           ("error", 11, "POSX is in two datasets, /entry/posx and /entry/x")),
    _wrong("NDAttribute not defined", 'ndattribute="POSX"', 'ndattribute="POSY"',
           ("error", 8, "POSY is not in the attributes file")),
    _wrong("NDAttribute in other letters", 'ndattribute="POSX"', 'ndattribute="PosX"',
           ("error", 8, "PosX is not in the attributes file")),
    _wrong("two defaults for frames", DETECTOR, DETECTOR + DETECTOR.replace('name="data"', 'name="other"'),
           ("error", 6, "are both det_default")),
    _wrong("two detectors", DETECTOR, DETECTOR + '<dataset name="again" source="detector"/>',
           ("warning", 6, "/entry/data/again none")),
    _wrong("default that is none", 'det_default="true"', 'det_default="yes"', ("error", 6, 'det_default="yes"'),
           schema=True),
    _wrong("name with a slash", 'group name="entry"', 'group name="entry/raw"',
           ("error", 3, "has a '/' in it"), ("warning", 6, "and not at /entry/data/data"),
           ("error", 14, "which this layout does not make")),
    _wrong("same name twice", DISTANCE, DISTANCE + '<group name="det_dist_m"/>', ("error", 12, "is there already")),
    _wrong("link to nowhere", 'target="/entry/data/data"', 'target="/entry/detector/data"',
           ("error", 14, "points to /entry/detector/data")),
    _wrong("relative link", 'target="/entry/data/data"', 'target="data/data"', ("error", 14, "points to data/data")),
    _wrong("no number", 'value="0.1"', 'value="0.1 m"', ("error", 12, "which is no float")),
    _wrong("comma for a point", 'type="float" value="0.1"', 'type="int" value="0.1"', ("error", 12, "which is no int")),
    _wrong("constant for each frame", 'value="0.1"', f'value="{",".join(["0.0"] * 500)}"',
           ("error", 12, "has 500 values")),
    _wrong("no uniqueId", f"{UNIQUE_ID}\n    {DISTANCE}\n    {DEFAULT}", DISTANCE,
           ("error", 2, "NDArrayUniqueId is nowhere"), root='<hdf5_layout auto_ndattr_default="false">', schema=True),
    _wrong("uniqueId once", UNIQUE_ID, UNIQUE_ID.replace("/>", ' when="OnFileOpen"/>'),
           ("error", 11, "stored once and not for each frame")),
    _wrong("at close", POSX, POSX.replace(">", ' when="OnFileClose">'), ("warning", 8, 'when="OnFileClose" of posx')),
    _wrong("position once", POSX, POSX.replace(">", ' when="OnFileOpen">'),
           ("warning", 8, "looks like a value of each frame")),
    _wrong("dataset at the root", "  <group name=\"entry\">", f"  {DISTANCE}<group name=\"entry\">",
           ("error", 3, "<dataset> cannot be in <hdf5_layout>"), schema=True),
    _wrong("group in a dataset", '<attribute name="units" source="constant" value="um" type="string"/>',
           '<group name="units"/>', ("error", 9, "<group> cannot be in <dataset>"),
           ("warning", 8, "does not say its unit"), schema=True),
    _wrong("unknown element", LINK, '<softlink name="frames" target="/entry/data/data"/>',
           ("error", 14, "there is no <softlink>"), schema=True),
    _wrong("global that is none", '<group name="entry">',
           '<global name="compression" ndattribute="POSX"/><group name="entry">',
           ("error", 3, 'name="compression" of <global>'), schema=True),
    _wrong("frames elsewhere", '<group name="data">', '<group name="detector">',
           ("warning", 6, "the frames are at /entry/detector/data"),
           ("error", 14, "which this layout does not make")),
    _wrong("no unit", '      <attribute name="units" source="constant" value="um" type="string"/>\n', "",
           ("warning", 8, "does not say its unit")),
    _wrong("value of a column", POSX, POSX.replace(">", ' value="0">'), ("warning", 8, 'value="0" has no effect')),
)  # fmt: skip
