"""Makes from Inter the fonts of pictures (service/assets/fonts) and their table of widths (src/advances.ts).

Run by hand when Inter or the characters change: python make_fonts.py 'Inter[opsz,wght].ttf'; needs fonttools.
"""

import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.varLib import instancer

HERE = Path(__file__).resolve().parent
FONTS = HERE.parents[1] / "service" / "assets" / "fonts"
WEIGHTS = {"Regular": 400, "SemiBold": 600}
# Latin with its extensions, Vietnamese, Greek, Cyrillic, punctuation, currency, arrows and operators
RANGES = [
    (0x20, 0x7E), (0xA0, 0x24F), (0x2B0, 0x2FF), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x52F),
    (0x1E00, 0x1EFF), (0x2000, 0x206F), (0x2070, 0x209F), (0x20A0, 0x20CF), (0x2100, 0x214F),
    (0x2190, 0x2199), (0x2200, 0x226F), (0x25A0, 0x25CF), (0xFFFD, 0xFFFD),
]  # fmt: skip
# the table of widths leaves out what is rare: an average stands in for it
MEASURED = [(0x20, 0x7E), (0xA0, 0x17F), (0x386, 0x3CE), (0x400, 0x45F), (0x2010, 0x2030), (0x20A0, 0x20BF)]


def instance(source: Path, style: str, weight: int) -> TTFont:
    """One static style; in the regular one all figures are of one width, for columns of numbers."""
    font = instancer.instantiateVariableFont(TTFont(source), {"wght": weight, "opsz": 14})
    if style == "Regular":
        best = font.getBestCmap()
        tabular = {code: f"{best[code]}.tf" for code in range(0x30, 0x3A)}
        for table in font["cmap"].tables:
            table.cmap.update({code: name for code, name in tabular.items() if code in table.cmap})
    options = subset.Options(
        layout_features=["kern", "mark", "mkmk", "ccmp"], hinting=False, name_IDs=[0, 1, 2, 3, 4, 6, 13, 14]
    )
    options.notdef_outline = True
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=[code for first, last in RANGES for code in range(first, last + 1)])
    cutter.subset(font)
    names = {
        1: "Inter",
        2: "Regular" if style == "Regular" else "Bold",
        4: f"Inter {style}",
        6: f"Inter-{style}",
    }
    for number, text in names.items():
        font["name"].setName(text, number, 3, 1, 0x409)
    font["OS/2"].usWeightClass = weight
    return font


def widths(font: TTFont) -> str:
    """Advances of the measured ranges in fiftieths of an em: a character each, "#" for 0, "!" for none."""
    cmap, metrics, em = font.getBestCmap(), font["hmtx"], font["head"].unitsPerEm
    codes = [code for first, last in MEASURED for code in range(first, last + 1)]
    letters = []
    for code in codes:
        width = round(metrics[cmap[code]][0] * 50 / em) if code in cmap else -2
        letters.append(chr(ord("#") + min(width, 91)))
    return "".join(letters)


def main() -> None:
    """Writes both styles and the table."""
    lines = [
        "// Made by make_fonts.py: widths of Inter in fiftieths of an em, a character each ('#' is 0).",
        "",
    ]
    lines.append(f"export const RANGES = {[list(pair) for pair in MEASURED]};")
    for style, weight in WEIGHTS.items():
        font = instance(Path(sys.argv[1]), style, weight)
        font.save(FONTS / f"Inter-{style}.ttf")
        text = widths(font).replace("\\", "\\\\").replace("`", "\\`").replace("${", "\\${")
        lines.append(f"export const {style.upper()} = `{text}`;")
    (HERE / "src" / "advances.ts").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
