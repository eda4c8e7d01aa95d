"""Draw the emoji sets as 64 px pictures into one table; a subject is what at least three sets draw."""

import json
import re
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from emoji_data import outputs
from fetch import archive, check, sets
from PIL import Image

SIDE = 64
FEWEST = 3
LEFT_OUT = re.compile(
    r"skin-tone|^flag|-flag$|clock|keycap|^regional-indicator|letter-[a-z]$|^\d+$|oclock|-thirty$"
)
"""Names of variants and of signs that are no pictures: skin tones, flags, clocks, letters, keycaps."""

GROUPS = {
    "Nature": "Animals & Nature",
    "Animals Nature": "Animals & Nature",
    "Food": "Food & Drink",
    "Food Drink": "Food & Drink",
    "Places": "Travel & Places",
    "Travel": "Travel & Places",
    "Travel Places": "Travel & Places",
    "People": "People & Body",
    "People Body": "People & Body",
    "Smileys Emotion": "Smileys & Emotion",
}
"""Unicode's name of a group, by what older sets call it."""


Icon = tuple[str, str, str]
"""The name, the svg and the group of an icon."""


def icons(studio: str, facts: dict[str, Any]) -> Iterator[Icon]:
    """Yield the name, the svg and the group of each icon of a set."""
    check(studio, facts)
    with tarfile.open(archive(facts)) as content:
        found, meta = (
            json.load(content.extractfile(f"package/{part}.json"))  # type: ignore[arg-type]
            for part in ("icons", "metadata")
        )
    group_of = {name: group for group, names in meta.get("categories", {}).items() for name in names}
    for name, icon in found["icons"].items():
        if LEFT_OUT.search(name):
            continue
        box = [
            *(icon.get(key, found.get(key, 0)) for key in ("left", "top")),
            *(icon.get(key, found.get(key, 16)) for key in ("width", "height")),
        ]
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="{" ".join(map(str, box))}">{icon["body"]}</svg>'
        )
        group = group_of.get(name, "")
        yield name, svg, GROUPS.get(group, group)


def drawn(svg: str) -> bytes:
    """Return a PNG of ``SIDE`` pixels on white."""
    from resvg_py import svg_to_bytes

    picture = Image.open(BytesIO(bytes(svg_to_bytes(svg_string=svg, width=4 * SIDE, height=4 * SIDE))))
    ground = Image.new("RGBA", picture.size, "white")
    small = Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")
    stream = BytesIO()
    small.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def matched(icons_of: Mapping[str, Iterable[Icon]]) -> Iterator[dict[str, Any]]:
    """Yield a row for each icon of the subjects that at least ``FEWEST`` sets draw.

    Names are matched by their letters alone: one set writes "admissiontickets", the others
    "admission-tickets". The most frequent spelling becomes the text, and the most frequent group the
    group of all its pictures. An icon that cannot be drawn is left out.
    """
    by_letters: dict[str, dict[str, Icon]] = defaultdict(dict)
    for studio, some in icons_of.items():
        for name, svg, group in some:
            by_letters[name.replace("-", "")].setdefault(studio, (name, svg, group))
    for found in by_letters.values():
        if len(found) < FEWEST:
            continue
        text = Counter(name.replace("-", " ") for name, *_ in found.values()).most_common(1)[0][0]
        group = Counter(group or "other" for *_, group in found.values()).most_common(1)[0][0]
        for studio, (name, svg, _) in found.items():
            facts = sets()[studio]
            try:
                png = drawn(svg)
            except Exception as error:  # resvg raises what it likes
                print(f"{studio}/{name} is left out: {error}", flush=True)
                continue
            yield {
                "id": f"{studio}/{name}",
                "text": text,
                "studio": studio,
                "group": group,
                "license": facts["license"],
                "credit": facts["credit"],
                "package": f"{facts['package']}@{facts['version']}",
                "png": png,
            }


def main() -> None:
    """Write outputs/pictures.parquet."""
    rows = list(matched({studio: icons(studio, facts) for studio, facts in sets().items()}))
    rows.sort(key=lambda row: (row["studio"], row["text"]))
    pq.write_table(pa.Table.from_pylist(rows), outputs() / "pictures.parquet", compression="none")
    print(f"{len(rows)} pictures of {len({row['text'] for row in rows})} subjects", flush=True)


if __name__ == "__main__":
    main()
