"""How well a candidate fits a target."""
