"""Data types and file formats shared by the add-on, the client and every engine: standard library, numpy and plyfile only."""
