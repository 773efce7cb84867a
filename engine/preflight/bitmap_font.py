"""Capital letters of 5 x 7 pixels, so that pictures can be labelled without any package."""

from __future__ import annotations

import numpy as np

WIDTH, HEIGHT, STEP = 5, 7, 6

_ROWS = {  # seven rows from the top, five bits each, the left pixel first
    "A": "0E11111F111111", "B": "1E11111E11111E", "C": "0E11101010110E", "D": "1E11111111111E", "E": "1F10101E10101F",
    "F": "1F10101E101010", "G": "0E11101711110F", "H": "1111111F111111", "I": "0E04040404040E", "J": "0702020202120C",
    "K": "11121418141211", "L": "1010101010101F", "M": "111B1515111111", "N": "11191513111111", "O": "0E11111111110E",
    "P": "1E11111E101010", "Q": "0E11111115120D", "R": "1E11111E141211", "S": "0F10100E01011E", "T": "1F040404040404",
    "U": "1111111111110E", "V": "11111111110A04", "W": "11111115151B11", "X": "11110A040A1111", "Y": "11110A04040404",
    "Z": "1F01020408101F", "0": "0E11131519110E", "1": "040C040404040E", "2": "0E11010204081F", "3": "1F02040201110E",
    "4": "02060A121F0202", "5": "1F101E0101110E", "6": "0608101E11110E", "7": "1F010204080808", "8": "0E11110E11110E",
    "9": "0E11110F01020C", " ": "00000000000000", ".": "000000000C0C00", ",": "000000000C0408", ":": "000C0C000C0C00",
    "-": "0000001F000000", "_": "0000000000001F", "/": "00010204081000", "(": "02040808080402", ")": "08040202020408",
    "%": "18190204081303", "+": "0004041F040400", "'": "0C040800000000", "#": "0A0A1F0A1F0A0A", "=": "00001F001F0000",
    "?": "0E110102040004", "!": "04040404040004", "&": "0C12140815120D", ";": "000C0C000C0408", '"': "0A0A0A00000000",
}


def _glyph(rows: str) -> np.ndarray:
    """[7, 5] bool."""
    values = np.frombuffer(bytes.fromhex(rows), np.uint8)
    return (values[:, None] >> np.arange(WIDTH - 1, -1, -1) & 1).astype(bool)


GLYPHS = {letter: _glyph(rows) for letter, rows in _ROWS.items()}


def fitting(text: str, width: int, scale: int = 1) -> str:
    """As much of the text as `width` pixels hold."""
    most = max(0, width // (STEP * scale))
    return text if len(text) <= most else text[: max(0, most - 2)] + ".."


def write_text(picture: np.ndarray, text: str, row: int, column: int, color: tuple[int, int, int], scale: int = 1) -> None:
    """Write into uint8 [H, W, 3] with the upper left corner at `row`, `column`; what lies outside is cut off, unknown letters become ?."""
    for index, letter in enumerate(text.upper()):
        glyph = GLYPHS.get(letter, GLYPHS["?"]).repeat(scale, axis=0).repeat(scale, axis=1)
        left = column + index * STEP * scale
        part = picture[row : row + len(glyph), left : left + glyph.shape[1]]
        part[glyph[: part.shape[0], : part.shape[1]]] = color
