"""graphcond recipe: list, show, check and schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from graphcond.cli.options import AsJson, Base, Overrides, base_name
from graphcond.io.terminal import console, say

app = typer.Typer(help="Look at recipes and check them.", no_args_is_help=True)


@app.command("list")
def list_recipes(as_json: AsJson = False) -> None:
    """Recipes inside the package.

    Example: graphcond recipe list
    """
    from rich.table import Table

    from graphcond.io.strict_yaml import read_yaml
    from graphcond.recipe.yaml_files import shipped_recipes

    recipes = {name: read_yaml(path) for name, path in shipped_recipes().items()}
    rows = [(name, values["base"]["model"], values["description"]) for name, values in recipes.items()]
    if as_json:
        say(json.dumps([{"name": name, "description": text} for name, _, text in rows]))
        return
    table = Table("recipe", "base", "what it is")
    for name, base, text in rows:
        table.add_row(name, base.rpartition("/")[2], text)
    console().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of a shipped recipe, a file, or folder of a model.")],
    base: Base = None,
    overrides: Overrides = None,
    resolved: Annotated[bool, typer.Option(help="Every setting, defaults included.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a recipe: as it is written, or resolved; that of a saved model always is.

    Example: graphcond recipe show instructg2i --base tiny > my.yaml
    """
    from graphcond.io.files import read_text
    from graphcond.recipe import load_recipe, parse_recipe
    from graphcond.recipe.yaml_files import find_recipe

    if Path(name).is_dir():
        from graphcond.saving.model_folder import saved_recipe

        values = saved_recipe(name).model_dump(mode="json")
        recipe = parse_recipe(values, base=base_name(base), overrides=overrides or (), place=name)
    elif resolved or base or overrides or as_json:
        recipe = load_recipe(name, base=base_name(base), overrides=overrides or ())
    else:
        say(read_text(find_recipe(name)), end="")
        return
    say(json.dumps(recipe.model_dump(mode="json"), indent=2) if as_json else recipe.to_yaml())


@app.command()
def check(
    file: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped recipe.")],
    base: Base = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Check a recipe without loading any weight; exit code 2 if it is wrong.

    Example: graphcond recipe check my.yaml --set training.steps=500
    """
    from graphcond.recipe.load import check_recipe
    from graphcond.recipe.overrides import leaves
    from graphcond.recipe.recipe import DATA_PATHS

    recipe = check_recipe(file, base=base_name(base), overrides=overrides or ())
    notes = list(recipe.notes())
    for setting, value in leaves(recipe.model_dump(mode="json")):  # those of a cluster need not be here
        is_path = setting.rpartition(".")[2] in DATA_PATHS and isinstance(value, str)
        if is_path and not Path(value).exists():
            notes.append(f"{setting}: there is no {value} on this machine")
    parts = [f"{c.name}: {c.sampler.kind} > {c.encoder.kind} > {c.injector.kind}" for c in recipe.conditions]
    if as_json:
        say(
            json.dumps(
                {
                    "ok": True,
                    "name": recipe.name,
                    "conditions": parts,
                    "updates": list(recipe.updates),
                    "notes": notes,
                }
            )
        )
    else:
        updates = f"; updates: {', '.join(recipe.updates)}" if recipe.updates else ""
        say(f"{file} is fine: {recipe.name} on {recipe.base.kind}; {'; '.join(parts)}{updates}")
        for note in notes:
            say(f"note: {note}")


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option(help="Write to this file instead of the screen.")] = None,
) -> None:
    """JSON schema of a recipe, for editors that complete and check YAML.

    Example: graphcond recipe schema --out recipe.schema.json
    """
    from graphcond.io.files import write_json
    from graphcond.recipe import Recipe

    if out is None:
        say(json.dumps(Recipe.model_json_schema(), indent=2))
    else:
        write_json(out, Recipe.model_json_schema())
