"""What can go wrong with a test cluster. Every message says what to do next."""


class ClusterError(Exception):
    """The cluster could not be started, reached or changed."""


class ProviderUnavailableError(ClusterError):
    """This machine cannot run the provider that was asked for; the message says why."""


class CommandError(ClusterError):
    """A program such as kubectl ended with an error.

    Attributes:
        returncode: its exit code.
        stderr: what it wrote to standard error.
    """

    def __init__(self, command: str, returncode: int, stderr: str) -> None:
        super().__init__(f"`{command}` ended with exit code {returncode}: {stderr.strip() or 'no message'}")
        self.returncode = returncode
        self.stderr = stderr
