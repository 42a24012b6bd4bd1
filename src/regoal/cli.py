"""The command line: `regoal COMMAND --help`."""

import os
import sys
from collections.abc import Callable
from typing import Any

import tyro

import regoal
from regoal import benchmark_commands as benchmarking
from regoal import export_command as exporting
from regoal import learning_commands as learning
from regoal import looking_commands as looking
from regoal.errors import EXIT_BAD_INPUT, EXIT_FAILED, EXIT_INTERRUPTED, BadInput, RunFault, did_you_mean

COMMANDS: dict[str, Callable[..., Any]] = {
    command.__name__: command
    for command in (
        learning.train,
        learning.finetune,
        learning.resume,
        exporting.export,
        benchmarking.benchmark,
        benchmarking.report,
        looking.evaluate,
        looking.rank,
        looking.watch,
        looking.inspect,
        looking.check,
        looking.settings,
        looking.shifts,
        looking.doctor,
    )
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    from regoal.agent.interrupts import Stopped

    # A user's own envs and strategies lie where the command is typed. What is installed comes first: a
    # folder from elsewhere must not put its own numpy in the place of ours.
    sys.path.append("")
    argv = sys.argv[1:] if argv is None else argv
    try:
        if argv[:1] == ["--version"]:
            print(f"regoal {regoal.__version__}")
            return 0
        _refuse_repeated_options(argv)
        if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
            raise BadInput("command", "one that exists", repr(argv[0]), did_you_mean(argv[0], COMMANDS))
        code: int = tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="regoal",
            description="Pretrain agents in one world, fine-tune them with hindsight in another.",
            args=argv,
        )
        sys.stdout.flush()  # here, where a reader that has gone is answered
        return code
    except RunFault as error:
        print(f"run failed: {error}", file=sys.stderr)
        return EXIT_FAILED
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except Stopped as stopped:
        print(f"\n{stopped}", file=sys.stderr)
        return stopped.exit_code
    except BrokenPipeError:  # whoever read, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except KeyboardInterrupt:
        print(
            "\nstopped at once; a run that has a checkpoint goes on with `regoal resume RUN`", file=sys.stderr
        )
        return EXIT_INTERRUPTED


def _refuse_repeated_options(argv: list[str]) -> None:
    """Only the last of two would count, silently."""
    options = [argument.partition("=")[0] for argument in argv if argument.startswith("--")]
    for option in options:
        if options.count(option) > 1:
            fix = "Give all values after one: --set A=1 B=2." if option == "--set" else "Keep one."
            raise BadInput(option, "to be given once", f"{options.count(option)} times", fix)


if __name__ == "__main__":
    sys.exit(main())
