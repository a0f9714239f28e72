"""`python -m channels.sandbox`: the three servers as a program."""

import argparse
from pathlib import Path

from channels.sandbox.outside import Doors
from channels.sandbox.sandbox import Ports, serve


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(prog="python -m channels.sandbox", description=__doc__)
    parser.add_argument("--log", type=Path, help="append JSON lines to this file")
    parser.add_argument("--faults", type=Path, help="JSON or YAML file of faults to begin with")
    parser.add_argument("--reactions", type=Path, help="JSON or YAML file of what becomes of messages")
    parser.add_argument("--listings", type=Path, help="JSON or YAML file of what lists show only later")
    parser.add_argument("--public-url", default="", help="relance's own base URL: events and answers are posted there")
    parser.add_argument("--inbound-secret", default="", help="the last part of the inbound mail door's path")
    parser.add_argument("--validate", type=Path, help="folder with the providers' OpenAPI files")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds between acceptance and answer")
    parser.add_argument("--seed", type=int, default=0, help="decides which messages an order's share picks")
    parser.add_argument("--clock-offset", type=float, default=0.0, help="seconds the providers' clock is ahead")
    parser.add_argument("--email-activity", action="store_true", help="the SendGrid account has Email Activity")
    for provider in ("twilio", "sendgrid", "smtp"):
        parser.add_argument(f"--{provider}-port", type=int, default=0, help="0: any free one")
    given = parser.parse_args()
    ports = Ports(given.twilio_port, given.sendgrid_port, given.smtp_port)
    serve(
        log=given.log,
        validate=given.validate,
        faults=given.faults,
        reactions=given.reactions,
        listings=given.listings,
        doors=Doors.under(given.public_url, given.inbound_secret) if given.public_url else None,
        latency=given.latency,
        ports=ports,
        seed=given.seed,
        clock_offset=given.clock_offset,
        email_activity=given.email_activity,
    )


if __name__ == "__main__":
    main()
