"""The engine as a server: `splatwright serve`. Keeps the same job folders as the engine on one's own computer."""
