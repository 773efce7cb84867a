"""`splatwright serve`: this computer as an engine for others."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Annotated

import tyro

from ..core.errors import UserError
from ..server.options import TOKEN_VARIABLE, ServeOptions

Options = Annotated[ServeOptions, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="")]


def serve(options: Options = ServeOptions()) -> int:  # noqa: B008 (a frozen default)
    """Be an engine for Blender and the command line of other computers. Ctrl+C ends it; jobs go on and are found again."""
    try:
        from ..server.serving import run_server
    except ImportError as error:
        raise UserError(f"The server needs the package {error.name}.", "Install it with: pip install 'splatwright[serve]'") from None
    named = tuple(os.environ.get(TOKEN_VARIABLE, "").split())
    chosen = replace(options, token=options.token or named, folder=options.folder.expanduser())
    return run_server(chosen, lambda line: print(line, flush=True))
