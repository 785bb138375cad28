"""Answers queries by the real Procpath: reads a JSON list of argument lists, prints a JSON list of [text, error]."""

import contextlib
import io
import json
import logging
import sys

from procpath import cli, cmd


def answer(arguments):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        try:
            # The parser takes hold of standard output when it is made.
            asked = vars(cli.build_parser().parse_args(["query", *arguments]))
            del asked["logging_level"]
            cmd.get_command(asked.pop("command"))(**asked)
        except (Exception, SystemExit) as error:
            return [out.getvalue(), f"{type(error).__name__}: {error}"]
    return [out.getvalue(), None]


logging.disable(logging.CRITICAL)
json.dump([answer(arguments) for arguments in json.load(sys.stdin)], sys.stdout)
