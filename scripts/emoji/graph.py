"""Write the table of the emoji world that ships, and its graph folder, from what render.py drew."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from emoji_data import caption, outputs, recipe, splits

from graphcond.graphs import save_world
from graphcond.worlds.emoji.world import EmojiWorld


def split_of() -> dict[tuple[str, str], str]:
    """Return the split of each pair of subject and studio that the world holds."""
    data, rng = splits(), np.random.default_rng(recipe()["seed"])
    found = {}
    for split in ("train", "test", "unseen"):
        part = getattr(data, split)
        found |= dict.fromkeys(zip(part.subjects, part.studios, strict=True), split)
    for pair in found:
        if found[pair] == "train" and rng.random() < recipe()["validation"]:
            found[pair] = "val"
    return found


def rows(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the world, from those of pictures.parquet."""
    found, kept = split_of(), []
    for row in table:
        pair = row["text"], row["studio"]
        if pair in found:
            kept.append(
                {
                    "id": row["id"].replace("/", "-"),
                    "subject": row["text"],
                    "hint": caption(*pair, 0) if pair[1] in recipe()["studios"] else row["text"],
                    "split": found[pair],
                    "picture": row["png"],
                    **{name: row[name] for name in ("studio", "group", "license", "credit")},
                }
            )
    return kept


def main() -> None:
    """Write both to outputs/; export.py puts the table into the package."""
    kept = rows(pq.read_table(outputs() / "pictures.parquet").to_pylist())
    pq.write_table(pa.Table.from_pylist(kept), outputs() / "world.parquet", compression="none")
    graph = save_world(EmojiWorld(outputs() / "world.parquet"), outputs() / "graph")
    print(graph)


if __name__ == "__main__":
    main()
