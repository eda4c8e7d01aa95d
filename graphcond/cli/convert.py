"""graphcond convert: checkpoints of other systems to graphcond models, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from graphcond.errors import InputError
from graphcond.io.files import check_new_folder
from graphcond.io.terminal import say

app = typer.Typer(no_args_is_help=True, help="Checkpoints of other systems to graphcond models, and back.")


@app.callback()
def _group() -> None:
    """Keep the name of the system in the command, though there is only one so far."""


@app.command()
def instructg2i(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="A released checkpoint, or a graphcond model to release.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="Folder of the model to write; a new one.")
    ] = None,
    to_release: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the release's layout there; a new folder.")
    ] = None,
    image_encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Folder or hub id of the CLIP that embeds neighbors, if SRC has none."
        ),
    ] = None,
    neighbors: Annotated[
        int | None,
        typer.Option(min=1, help="Most neighbors in training, 5 unless given; the checkpoint does not say."),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="What chooses them from a graph: given, as the release's data has them, or ppr, say.",
        ),
    ] = None,
) -> None:
    """Convert a checkpoint of InstructG2I to a graphcond model, or a graphcond model to such a checkpoint.

    SRC is a folder or a hub id. The release trains the whole UNet, so the new model carries it as a base of
    its own.

    For example:

        graphcond convert instructg2i checkpoints/instructg2i --out models/instructg2i

        graphcond convert instructg2i models/mine --to-release checkpoints/mine
    """
    if not source:
        raise InputError("the name is empty", place="SRC", remedy="name a folder or hub id")
    target = out or to_release
    if target is None or (out and to_release):
        raise InputError(
            "exactly one of the two options must be given",
            place="--out, --to-release",
            remedy="give one of the two a folder",
        )
    if to_release and (image_encoder or neighbors or sampler):
        raise InputError(
            "goes with --out", place="--image-encoder, --neighbors, --sampler", remedy="leave it out"
        )
    check_new_folder(target, remedy="choose another place")
    if target.resolve().is_relative_to(Path(source).resolve()):
        raise InputError(f"lies inside {source}", place=target, remedy="choose another place")
    if out:
        options = {"image_encoder": image_encoder, "neighbors": neighbors, "sampler": sampler}
        lines = _to_ours(source, out, {name: value for name, value in options.items() if value is not None})
    else:
        lines = _to_release(source, target)
    say("\n".join(lines))


def _to_ours(source: str, out: Path, options: dict[str, Any]) -> list[str]:
    from graphcond.model import GraphModel
    from graphcond.progress import during, progress_bars
    from graphcond.saving.bundled import BASE, IMAGE_ENCODER
    from graphcond.saving.instructg2i import read_release
    from graphcond.saving.instructg2i.layout import reading_layers
    from graphcond.saving.model_folder import MANIFEST, local_folder

    folder = local_folder(source)
    if (folder / MANIFEST).is_file():
        raise InputError(
            "the folder is a graphcond model already", place=source, remedy="use it, or --to-release DIR"
        )
    with progress_bars() as watch:
        with during(watch, "loading"):
            model = GraphModel.from_release(read_release(folder, **options))
            _ = model.extractors.pictures  # a model that cannot look at neighbors is not written
        model.save_pretrained(out, progress=watch("copying (MB)"))
    condition, base, image_encoder = model.recipe.conditions[0], out / BASE, out / IMAGE_ENCODER
    tokens = condition.encoder.model_dump()["tokens_per_neighbor"]
    layers = map(str, reading_layers(model.conditions[condition.name].encoder.state_dict()))
    lines = [
        f"{out}: InstructG2I with {tokens} tokens per neighbor, cross-attention in layers "
        f"{', '.join(layers)} and at most {condition.sampler.neighbors} neighbors",
        f"The trained UNet is a base of its own: {_size(base / 'unet')}, with VAE and text encoder "
        f"{_size(base)} in {base}",
    ]
    if image_encoder.is_dir():
        lines.append(f"Its image encoder: {_size(image_encoder)} in {image_encoder}")
    else:
        lines.append(f"Its image encoder stays where it is: {model.recipe.features.model_dump()['model']}")
    return lines


def _to_release(source: str, out: Path) -> list[str]:
    from graphcond.model import GraphModel
    from graphcond.progress import during, progress_bars

    with progress_bars() as watch:
        with during(watch, "loading"):
            model = GraphModel.from_pretrained(source)
        model.to_release(out, progress=watch("copying (MB)"))
    most = model.recipe.conditions[0].sampler.neighbors
    lines = [
        f"{out}: the layout of the InstructG2I release, {_size(out)}",
        f"It has no place for the number of neighbors, {most} at most: tell its users",
    ]
    if model.recipe.conditions[0].without_graph == "absent":
        lines.append(
            "Its code guides with zero tokens where the model was trained to see none "
            "(without_graph: absent), so its pictures will differ from ours"
        )
    return lines


def _size(folder: Path) -> str:
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
