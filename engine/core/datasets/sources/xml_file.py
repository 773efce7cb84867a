"""XML of strangers: no entities, nothing fetched, and no more of it than fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers.expat import ExpatError, ParserCreate

from ...confinement import admitted
from ...errors import UserError
from ...files import disk_error

MOST_BYTES = 256 << 20
MEND = "Export the cameras again."


def read_xml(path: Path) -> Element:
    """The root of an XML file. UserError for one that is damaged, larger than 256 MB, or declares a document type."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path} is larger than {MOST_BYTES >> 20} MB, which no list of cameras is.", MEND, "xml.too_large", path=path,
                            most_bytes=MOST_BYTES >> 20)
        data = admitted(path).read_bytes()
    except OSError as error:
        raise disk_error(path, error) from error
    tree, parser = TreeBuilder(), ParserCreate()

    def refuse(*_: Any) -> None:  # entities, which can grow without bound, are declared there
        raise UserError(f"{path} declares a document type, which no list of cameras does.", MEND, "xml.doctype", path=path)

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = tree.start, tree.end, tree.data
    try:
        parser.Parse(data, True)
        return tree.close()
    except (ExpatError, AssertionError) as error:
        raise UserError(f"{path} is no valid XML: {error}.", MEND, "xml.damaged", path=path, problem=error) from None
