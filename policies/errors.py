"""The errors that Haltere raises. Each message says what was wrong, what was expected, and what to do.

Inside the control loop nothing raises: there a fault is a status (`haltere.firmware_bridge.runtime`).
"""


class HaltereError(Exception):
    """Base class of every error that Haltere raises on purpose."""


class ConfigError(HaltereError):
    """A configuration value (vehicle, population, command line) is missing or outside its range."""


class PolicyFileError(HaltereError):
    """A policy file is damaged, has another contract, or disagrees with its golden vectors."""


class ExportError(HaltereError):
    """A policy could not be exported."""


class BuildError(HaltereError):
    """C source could not be compiled."""


class LinkError(HaltereError):
    """A link could not be opened or has closed."""


class LinkUriError(LinkError, ConfigError):
    """A link's URI is malformed: trying again will not help."""


class FrameError(LinkError):
    """A message could not be encoded. Received garbage never raises; it is dropped and counted."""


class LinkTimeout(LinkError):
    """The other end did not answer in time."""


class VersionMismatch(LinkError):
    """The two ends of a link were built from different schemas."""
