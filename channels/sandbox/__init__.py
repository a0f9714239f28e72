"""Local servers that speak like the providers; see README.md. No channel imports this."""

from channels.sandbox.faults import Fault
from channels.sandbox.listings import Listing
from channels.sandbox.outside import Doors
from channels.sandbox.people import Attachment, Heard
from channels.sandbox.reactions import Reaction
from channels.sandbox.sandbox import Credentials, Ports, Sandbox, serve

__all__ = ["Attachment", "Credentials", "Doors", "Fault", "Heard", "Listing", "Ports", "Reaction", "Sandbox", "serve"]
