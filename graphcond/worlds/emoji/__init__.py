"""The emoji world: real pictures of the same subjects by several studios, and judges of both."""
