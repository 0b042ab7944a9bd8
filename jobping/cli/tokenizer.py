"""`jobping tokenizer fetch`."""

import argparse

import trio

from jobping.cli.parser import Commands, ExitCode, add_command, add_commands, add_config_options
from jobping.cli.session import settings_of


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add(
        "tokenizer",
        "get the file that model prompts are counted with",
        group="installation",
        usage="fetch",
        examples=["jobping tokenizer fetch"],
    )
    fetch = add_command(
        add_commands(parser),
        "fetch",
        "download the vocabulary of OpenAI's models, check its SHA-256 and keep it",
        details="Without it prompts are bounded by their bytes, which only costs room near a "
        "limit. It comes from OpenAI, has 3.6 MB, and lies in `tokenizer_dir` or "
        "`$TIKTOKEN_CACHE_DIR` where one is set, else in the folder `tiktoken` of the state "
        "directory. The daemon itself never downloads it.",
    )
    add_config_options(fetch)
    fetch.set_defaults(command=_fetch)


def _fetch(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    # here: model libraries take long to import
    from jobping.llm.tokens import fetch_vocabulary

    file = trio.run(fetch_vocabulary, settings.llm.tokenizer_dirs[0])
    print(f"{file}: 200,000 tokens, SHA-256 as it should be")
    return ExitCode.OK
