"""The runtime's command line: python -m scrm.runtime {demo,demo-reset,test-env,build-env,npm,probe}."""

import argparse
import os
import sys

from scrm.runtime import install, probes
from scrm.runtime.environment import placeholder_settings
from scrm.runtime.services import SERVICES, service


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    result = argparse.ArgumentParser(prog="python -m scrm.runtime")
    commands = result.add_subparsers(dest="what", required=True)
    demo = commands.add_parser("demo", help="start everything on this machine and wait for Ctrl-C")
    demo.add_argument("--check", action="store_true", help="run the main job headless in a fresh demo, then stop")
    commands.add_parser("demo-reset", help="forget the demo's data")
    test_env = commands.add_parser("test-env", help="run a command with a throw-away PostgreSQL and Valkey")
    test_env.add_argument("--durable", action="store_true", help="fsync and synchronous_commit on, as in production")
    test_env.add_argument("command", nargs=argparse.REMAINDER)
    build_env = commands.add_parser("build-env", help="run a command with settings that load, but no servers")
    build_env.add_argument("command", nargs=argparse.REMAINDER)
    npm = commands.add_parser(
        "npm", help="npm in the front end's folder, with the machine's Node.js or the packaged one"
    )
    npm.add_argument("command", nargs=argparse.REMAINDER)
    probe = commands.add_parser("probe", help="exit 0 if the service on this machine works (container health checks)")
    probe.add_argument("service", choices=[item.name for item in SERVICES])
    return result


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns the exit code."""
    options = parser().parse_args(arguments)
    if options.what == "probe":
        return 0 if probes.probe(service(options.service), probes.default_values(), os.environ) else 1
    if options.what in ("demo", "demo-reset"):
        from scrm.runtime import demo  # needs the packages of development, which a container has not

        return demo.run_reset() if options.what == "demo-reset" else demo.run(check=options.check)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser().error("name the command to run after --")
    if options.what == "npm":
        words, env = install.npm_command()
        os.chdir(install.FRONTEND)
        os.execvpe(words[0], [*words, *command], env)
    if options.what == "build-env":
        os.execvpe(command[0], command, {**os.environ, **placeholder_settings()})
    from scrm.runtime import testenv

    return testenv.run(command, durable=options.durable)


if __name__ == "__main__":
    sys.exit(main())
