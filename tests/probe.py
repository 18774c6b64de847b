"""What a program serves over HTTP on this machine: its health, and its metrics."""

import re
import urllib.error
import urllib.request


def ask(port: int, page: str) -> tuple[int, str]:
    """Status and body of a page; 0 while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def metric(port: int, line: str) -> float:
    """Value of one line of /metrics; -1 while nobody answers or knows it."""
    found = re.search(rf"^{re.escape(line)} (\S+)$", ask(port, "/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else -1
