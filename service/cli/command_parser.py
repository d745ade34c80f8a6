"""The parser of the ``acumen`` command and of its subcommands."""

from __future__ import annotations

import argparse
import sys
from typing import Any

USAGE_STATUS = 2


class CommandParser(argparse.ArgumentParser):
    """Prints its help where no command is given, and names the nearest known word for a misspelt one."""

    def add_commands(self) -> Any:
        """Add the group of this parser's subcommands. Each must set its own default of ``run``."""
        self.set_defaults(run=self._help_instead)
        return self.add_subparsers(title="commands", metavar="COMMAND")

    def _help_instead(self, _: argparse.Namespace) -> int:
        self.print_help(sys.stderr)
        return USAGE_STATUS

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            # Imported here, since printing the help should not wait for it.
            from query.language.suggestions import did_you_mean

            hint = did_you_mean(value, [str(choice) for choice in action.choices or ()])
            message = f"{error.message}.{hint}" if hint else error.message
            raise argparse.ArgumentError(action, message) from None
